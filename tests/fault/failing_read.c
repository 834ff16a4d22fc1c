/* Preloaded: reads of files whose name ends in $GONDOLA_TEST_FAILING_FILE fail with EIO that would take
 * this process beyond $GONDOLA_TEST_FAILING_AFTER of their bytes; no file seems to be in the page cache. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_llong bytes_read;

static int fails(int file, size_t count) {
  const char* const name = getenv("GONDOLA_TEST_FAILING_FILE");
  const char* const after = getenv("GONDOLA_TEST_FAILING_AFTER");
  if (name == NULL || after == NULL) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (length < (ssize_t)strlen(name)) return 0;
  path[length] = 0;
  if (strcmp(path + length - strlen(name), name) != 0) return 0;
  return atomic_fetch_add(&bytes_read, (long long)count) + (long long)count > atoll(after);
}

typedef ssize_t (*Pread)(int, void*, size_t, off_t);

static ssize_t read_or_fail(const char* symbol, int file, void* out, size_t count, off_t offset) {
  if (fails(file, count)) {
    errno = EIO;
    return -1;
  }
  return ((Pread)dlsym(RTLD_NEXT, symbol))(file, out, count, offset);
}

ssize_t pread(int file, void* out, size_t count, off_t offset) {
  return read_or_fail("pread", file, out, count, offset);
}

ssize_t pread64(int file, void* out, size_t count, off_t offset) {
  return read_or_fail("pread64", file, out, count, offset);
}

int mincore(void* address, size_t length, unsigned char* pages) {
  (void)address, (void)length, (void)pages;
  errno = ENOMEM;
  return -1;
}
