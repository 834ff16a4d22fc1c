#include "monitoring/rank_slowness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gondola {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;

/// Every rank's own work in a step, spread over the phases that count, beside waiting that does
/// not.
std::vector<PhaseSeconds> step(const std::vector<double>& work) {
  std::vector<PhaseSeconds> ranks;
  for (const double seconds : work) {
    PhaseSeconds phases{};
    phases[static_cast<std::size_t>(Phase::kData)] = 0.25 * seconds;
    phases[static_cast<std::size_t>(Phase::kInner)] = 0.25 * seconds;
    phases[static_cast<std::size_t>(Phase::kOuter)] = 0.5 * seconds;
    phases[static_cast<std::size_t>(Phase::kWait)] = 100.0 - seconds;
    phases[static_cast<std::size_t>(Phase::kAllReduce)] = 7.0;
    phases[static_cast<std::size_t>(Phase::kEval)] = 50.0 * static_cast<double>(ranks.size());
    ranks.push_back(phases);
  }
  return ranks;
}

TEST(RankSlowness, is_the_work_over_the_smaller_of_the_middle_ones) {
  RankSlowness slowness;
  slowness.add(step({1.0, 2.0, 4.0, 8.0}));
  EXPECT_THAT(slowness.ratios(), ElementsAre(0.5, 1.0, 2.0, 4.0));
  RankSlowness of_two;
  of_two.add(step({3.0, 1.0}));
  EXPECT_THAT(of_two.ratios(), ElementsAre(3.0, 1.0));
  RankSlowness of_one;
  of_one.add(step({3.0}));
  EXPECT_THAT(of_one.ratios(), ElementsAre(1.0));
}

TEST(RankSlowness, one_slow_step_does_not_show_and_most_of_a_window_does) {
  RankSlowness slowness;
  for (std::size_t i = 0; i < RankSlowness::kWindow; ++i) slowness.add(step({1.0, 1.0, 1.0}));
  slowness.add(step({1.0, 9.0, 1.0}));
  slowness.add(step({1.0, 9.0, 1.0}));
  EXPECT_THAT(slowness.ratios(), ElementsAre(1.0, 1.0, 1.0));
  slowness.add(step({1.0, 9.0, 1.0}));
  EXPECT_THAT(slowness.ratios(), ElementsAre(1.0, 9.0, 1.0));
}

TEST(RankSlowness, steps_older_than_the_window_are_forgotten) {
  RankSlowness slowness;
  for (int i = 0; i < 20; ++i) slowness.add(step({5.0, 1.0, 1.0}));
  for (std::size_t i = 0; i < RankSlowness::kWindow; ++i) slowness.add(step({1.0, 1.0, 1.0}));
  EXPECT_THAT(slowness.ratios(), ElementsAre(1.0, 1.0, 1.0));
}

TEST(RankSlowness, a_machine_that_is_slow_all_over_has_no_slow_rank) {
  RankSlowness slowness;
  for (const double load : {1.0, 30.0, 2.0}) slowness.add(step({load, load, 1.5 * load}));
  EXPECT_THAT(slowness.ratios(), ElementsAre(DoubleEq(1.0), DoubleEq(1.0), DoubleEq(1.5)));
}

TEST(RankSlowness, says_nothing_without_work) {
  RankSlowness slowness;
  EXPECT_TRUE(slowness.ratios().empty());
  slowness.add({});
  slowness.add(step({0.0, 0.0}));
  EXPECT_TRUE(slowness.ratios().empty());
}

}  // namespace
}  // namespace gondola
