#include "trainer/optimizer/learning_rate.hpp"

#include <gtest/gtest.h>

namespace gondola {
namespace {

TEST(LearningRate, warms_up_linearly_then_stays) {
  const OptimizerSection config{.learning_rate = 0.4, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 1, 100), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 4, 100), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 99, 100), 0.4);
}

TEST(LearningRate, cosine_falls_from_full_to_the_final_fraction) {
  const OptimizerSection config{
      .learning_rate = 1, .schedule = Schedule::kCosine, .warmup_steps = 10, .final_fraction = 0.2};
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 10, 110), 1);
  EXPECT_NEAR(learning_rate_at(config, 60, 110), 0.6, 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 110, 110), 0.2, 1e-12);
}

}  // namespace
}  // namespace gondola
