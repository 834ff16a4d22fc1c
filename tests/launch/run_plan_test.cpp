#include "launch/run_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gondola {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ReductionLines, a_gradient_that_is_cut_is_named_with_the_figures_of_the_choice) {
  const BucketChoice measured{.bytes = 1 << 20,
                              .cost = {.latency_seconds = 0.124e-3, .seconds_per_byte = 0.151e-9}};
  EXPECT_THAT(reduction_lines(measured, 8'400'000, 2),
              ElementsAre("all-reduce   1.05 MB at a time of a gradient of 8.4 MB (a sum takes "
                          "0.12 ms, and 0.15 ms for each MB, measured)"));
  EXPECT_THAT(reduction_lines({.bytes = 500'000}, 8'400'000, 2),
              ElementsAre("all-reduce   0.5 MB at a time of a gradient of 8.4 MB"));
}

TEST(ReductionLines, there_is_none_where_nothing_is_cut) {
  EXPECT_THAT(reduction_lines({.bytes = 8'400'000}, 8'400'000, 2), IsEmpty());
  EXPECT_THAT(reduction_lines({.bytes = 1 << 20}, 8'400'000, 1), IsEmpty());
}

}  // namespace
}  // namespace gondola
