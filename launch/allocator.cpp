#include "launch/allocator.hpp"

#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace gondola {

void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kTopPadBytes = 256 << 20;  // grow the heap in such steps
  constexpr int kTrimThresholdBytes = -1;  // as an unsigned number: never give memory back
  mallopt(M_MMAP_MAX, 0);                  // big tensors come from the heap too
  mallopt(M_TRIM_THRESHOLD, kTrimThresholdBytes);
  mallopt(M_TOP_PAD, kTopPadBytes);
#endif
}

}  // namespace gondola
