#include "launch/allocator.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <memory>

namespace gondola {
namespace {

constexpr std::size_t kTensorBytes = std::size_t{320} << 20;  // more than the heap grows by

/// Page faults of writing to a newly allocated big tensor and freeing it.
long faults_of_one_tensor() {
  rusage before{};
  rusage after{};
  getrusage(RUSAGE_SELF, &before);
  {
    const auto tensor = std::make_unique_for_overwrite<char[]>(kTensorBytes);
    std::memset(tensor.get(), 1, kTensorBytes);
    asm volatile("" : : "r"(tensor.get()) : "memory");  // the bytes are wanted
  }
  getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt;
}

TEST(AllocatorTest, a_tensor_as_big_as_one_freed_before_costs_no_page_faults) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer brings its own malloc";
#endif
  keep_freed_memory();
  EXPECT_GT(faults_of_one_tensor(), 0);  // the first has to be faulted in
  EXPECT_LT(faults_of_one_tensor(), 16);
}

}  // namespace
}  // namespace gondola
