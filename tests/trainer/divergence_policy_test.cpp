#include "trainer/divergence_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "configs/errors.hpp"

namespace gondola {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TrainerSection with(OnNonfinite on_nonfinite, std::int64_t budget = 20) {
  TrainerSection config;
  config.on_nonfinite = on_nonfinite;
  config.skip_budget = budget;
  return config;
}

BadStep bad(std::int64_t step, std::int64_t in_a_row = 1) {
  return {.step = step, .in_a_row = in_a_row, .trouble = Trouble::kGradient, .world = 3};
}

BadStep with_broken_weights(std::vector<int> ranks) {
  auto step = bad(7);
  step.trouble = Trouble::kWeights;
  step.ranks = std::move(ranks);
  return step;
}

/// What ends the run on this step.
template <typename Ends>
std::string ending(DivergencePolicy& policy, const BadStep& step) {
  try {
    static_cast<void>(policy.judge(step));
  } catch (const Ends& error) {
    return error.what();
  }
  return "the run goes on";
}

TEST(DivergencePolicy, skip_survives_its_budget_of_steps_in_a_row_and_no_more) {
  DivergencePolicy policy(with(OnNonfinite::kSkip, 3));
  EXPECT_FALSE(policy.cannot_wait());
  for (const std::int64_t in_a_row : {1, 2, 3, 1, 2, 3}) {
    EXPECT_EQ(policy.judge(bad(10 + in_a_row, in_a_row)), Remedy::kNothing);
  }
  EXPECT_THAT(
      ending<DivergedError>(policy, bad(14, 4)),
      AllOf(HasSubstr("at step 14: the gradient is not finite, in 4 steps in a row of 3 that "
                      "trainer.skip_budget allows"),
            HasSubstr("lower optimizer.learning_rate")));
  DivergencePolicy none(with(OnNonfinite::kSkip, 0));
  EXPECT_THAT(ending<DivergedError>(none, bad(1)), HasSubstr("in 1 step of 0"));
}

TEST(DivergencePolicy, skip_ends_at_once_where_the_weights_are_broken) {
  DivergencePolicy policy(with(OnNonfinite::kSkip));
  EXPECT_THAT(
      ending<DivergedError>(policy, with_broken_weights({0, 1, 2})),
      HasSubstr("at step 7: the weights are not finite, which skipping updates cannot mend"));
}

TEST(DivergencePolicy, broken_weights_on_some_ranks_only_are_a_lost_replica) {
  for (const auto choice : {OnNonfinite::kSkip, OnNonfinite::kStop}) {
    DivergencePolicy policy(with(choice));
    EXPECT_THAT(ending<CommError>(policy, with_broken_weights({1})),
                HasSubstr("at step 7 the weights of rank 1 are not finite"));
  }
  DivergencePolicy rollback(with(OnNonfinite::kRollback));
  EXPECT_EQ(rollback.judge(with_broken_weights({1})), Remedy::kRollBack);
}

TEST(DivergencePolicy, stop_ends_at_the_first) {
  DivergencePolicy policy(with(OnNonfinite::kStop));
  EXPECT_TRUE(policy.cannot_wait());
  auto step = bad(5);
  step.trouble = Trouble::kLoss;
  step.positions = {1};
  step.ids = {40, 41, 42};
  EXPECT_THAT(ending<DivergedError>(policy, step),
              HasSubstr("training diverged at step 5: the loss of image 41 is not finite; lower"));
}

TEST(DivergencePolicy, rollbacks_have_the_same_budget) {
  DivergencePolicy policy(with(OnNonfinite::kRollback, 2));
  EXPECT_TRUE(policy.cannot_wait());
  EXPECT_EQ(policy.judge(bad(5)), Remedy::kRollBack);
  EXPECT_EQ(policy.judge(bad(50)), Remedy::kRollBack);
  EXPECT_THAT(ending<DivergedError>(policy, bad(500)), HasSubstr("after all 2 rollbacks"));
  DivergencePolicy none(with(OnNonfinite::kRollback, 0));
  EXPECT_THAT(ending<DivergedError>(none, bad(5)), HasSubstr("after all 0 rollbacks"));
}

TEST(DivergencePolicy, two_rollbacks_in_vain_are_enough) {
  DivergencePolicy policy(with(OnNonfinite::kRollback));
  EXPECT_EQ(policy.judge(bad(30)), Remedy::kRollBack);
  EXPECT_EQ(policy.judge(bad(29)), Remedy::kRollBack);
  EXPECT_EQ(policy.judge(bad(31)), Remedy::kRollBack) << "it came further";
  EXPECT_EQ(policy.judge(bad(31)), Remedy::kRollBack);
  EXPECT_THAT(ending<DivergedError>(policy, bad(28)),
              HasSubstr("two rollbacks have not brought it beyond step 31"));
}

TEST(BadStep, says_what_was_wrong_and_where) {
  auto step = bad(3);
  step.ranks = {2};
  EXPECT_EQ(step.in_words(), "the gradient of rank 2 is not finite");
  step.ranks = {0, 1, 2};
  EXPECT_EQ(step.in_words(), "the gradient is not finite");
  step.trouble = Trouble::kLoss;
  step.positions = {0, 2};
  step.ids = {7, 8, 9};
  EXPECT_EQ(step.in_words(), "the loss of images 7, 9 is not finite");
  step.ranks = {1};
  EXPECT_EQ(step.in_words(), "the loss of images 7, 9 on rank 1 is not finite");
  step.trouble = Trouble::kBound;
  step.gradient_norm = 512;
  EXPECT_EQ(step.in_words(), "the gradient's norm 512 is beyond trainer.outlier_factor");
}

TEST(BadStep, names_eight_images_and_counts_the_rest) {
  EXPECT_EQ(name_images({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}),
            "images 1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
}

}  // namespace
}  // namespace gondola
