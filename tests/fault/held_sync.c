/* Preloaded into a run: fsync() of a file or folder whose path holds /checkpoints returns when there is
   no file $GONDOLA_TEST_HOLD_SYNC any more, as on a disk that takes its time. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int fsync(int file) {
  const char* const hold = getenv("GONDOLA_TEST_HOLD_SYNC");
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = '\0';
  if (hold != NULL && strstr(path, "/checkpoints") != NULL) {
    const struct timespec moment = {.tv_nsec = 2000000};
    while (access(hold, F_OK) == 0) nanosleep(&moment, NULL);
  }
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return real(file);
}
