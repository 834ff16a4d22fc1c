#include "trainer/parallel/mpi_check.hpp"

#include <mpi.h>

#include <array>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

void mpi_check(int status, const char* call, std::source_location where) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> words{};
  int length = 0;
  MPI_Error_string(status, words.data(), &length);
  throw CommError(std::string(call) + " in " + where.file_name() + ":" +
                  std::to_string(where.line()) + " failed with \"" +
                  std::string(words.data(), static_cast<std::size_t>(length)) +
                  "\": restart from the last checkpoint");
}

}  // namespace gondola
