#include "trainer/gradient_bound.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>

namespace gondola {
namespace {

torch::Tensor scalar(double value) { return torch::scalar_tensor(value, torch::kFloat32); }

/// Whether a step with this norm is good; then it is remembered.
bool good(GradientBound& bound, double norm) {
  const auto holds = bound.holds(scalar(norm));
  bound.add(scalar(norm), holds);
  return holds.item<bool>();
}

TEST(GradientBound, without_a_factor_everything_is_within_it) {
  GradientBound bound(0, torch::kCPU);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(good(bound, 1));
  EXPECT_TRUE(good(bound, 1e30));
  EXPECT_FALSE(good(bound, std::numeric_limits<double>::infinity()));
  EXPECT_EQ(bound.usual().steps, 0);
}

TEST(GradientBound, holds_from_the_21st_good_step_on) {
  GradientBound bound(10, torch::kCPU);
  EXPECT_TRUE(good(bound, 1));
  EXPECT_TRUE(good(bound, 39)) << "the first steps may be anything";
  for (int i = 2; i < 20; ++i) EXPECT_TRUE(good(bound, 0));
  EXPECT_FALSE(good(bound, 20.1)) << "beyond 10 times the mean of 2";
  EXPECT_EQ(bound.usual().mean, 2) << "a bad norm is not remembered";
  EXPECT_EQ(bound.usual().steps, 20);
  EXPECT_TRUE(good(bound, 19.9));
}

TEST(GradientBound, the_mean_is_that_of_all_steps_and_then_forgets) {
  GradientBound bound(1e6, torch::kCPU);
  double expected = 0;
  for (int n = 1; n <= 300; ++n) {
    const double norm = 1 + n % 7;
    EXPECT_TRUE(good(bound, norm));
    expected += (norm - expected) / std::min(n, 100);
    EXPECT_NEAR(bound.usual().mean, expected, 1e-12) << n;
  }
}

TEST(GradientBound, what_is_not_a_number_is_never_within_it) {
  GradientBound bound(10, torch::kCPU);
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(good(bound, nan));
  EXPECT_FALSE(good(bound, std::numeric_limits<double>::infinity()));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(good(bound, 1));
  EXPECT_FALSE(good(bound, nan));
  EXPECT_EQ(bound.usual().mean, 1);
}

TEST(GradientBound, goes_on_where_it_was) {
  GradientBound undisturbed(3, torch::kCPU);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(good(undisturbed, 1 + i / 100.0));
  GradientBound resumed(3, torch::kCPU);
  resumed.restore(undisturbed.usual());
  for (const double norm : {1.3, 3.4, 3.5, 0.1, 2.0}) {
    EXPECT_EQ(good(resumed, norm), good(undisturbed, norm)) << norm;
    EXPECT_EQ(resumed.usual().mean, undisturbed.usual().mean);
  }
}

}  // namespace
}  // namespace gondola
