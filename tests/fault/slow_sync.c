/* Preloaded into a run: each fsync() of a file or folder whose path holds /checkpoints takes 0.3 s
   more, as on a slow disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int fsync(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = '\0';
  if (strstr(path, "/checkpoints") != NULL) {
    const struct timespec delay = {.tv_nsec = 300000000};
    nanosleep(&delay, NULL);
  }
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return real(file);
}
