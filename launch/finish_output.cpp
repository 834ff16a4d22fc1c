#include "launch/finish_output.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

void finish_output() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return;
  // Where an earlier write failed, and its reason is gone: another fails likewise.
  if (errno == 0) (void)!::write(STDOUT_FILENO, "\n", 1);
  throw IoError(std::string("standard output cannot be written (") +
                (errno != 0 ? std::strerror(errno) : "an earlier write failed") +
                "): look at the disk or program that it goes to");
}

}  // namespace gondola
