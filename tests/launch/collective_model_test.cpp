#include "launch/benches/collective_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace gondola {
namespace {

using Kind = Collective::Kind;
using testing::ElementsAre;

Collective sum_of(std::int64_t bytes) { return {.kind = Kind::kSum, .bytes = bytes}; }

std::vector<double> sizes(const Collective& collective, std::int64_t ranks) {
  std::vector<double> result;
  for (const auto& [count, bytes] : messages_of(collective, ranks)) {
    for (int i = 0; i < static_cast<int>(count); ++i) result.push_back(bytes);
  }
  return result;
}

double total(const std::vector<double>& values) {
  double result = 0;
  for (const auto value : values) result += value;
  return result;
}

TEST(CollectiveModel, a_small_sum_doubles_what_is_gathered) {
  EXPECT_THAT(sizes(sum_of(1000), 2), ElementsAre(1000));
  EXPECT_THAT(sizes(sum_of(1000), 8), ElementsAre(1000, 2000, 4000));
  EXPECT_THAT(sizes(sum_of(1000), 5), ElementsAre(1000, 2000, 1000));  // 4 ranks' parts in all
}

TEST(CollectiveModel, a_large_sum_moves_what_a_ring_moves) {
  const double n = 4 << 20;
  for (const std::int64_t ranks : {2, 3, 4, 16, 64, 512, 4096}) {
    SCOPED_TRACE(ranks);
    const auto least = 2 * n * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
    const auto moved = total(sizes(sum_of(4 << 20), ranks));
    EXPECT_GE(moved, least * (1 - 1e-12));
    EXPECT_LE(moved, 2 * n);
  }
  EXPECT_THAT(sizes(sum_of(1 << 20), 2), ElementsAre(1 << 19, 1 << 19));
  EXPECT_EQ(sizes(sum_of(4 << 20), 8).size(), 14);             // to all and from all
  EXPECT_EQ(sizes(sum_of(4 << 20), 4096).size(), 24);          // halved, doubled
  EXPECT_EQ(sizes(sum_of(64 << 20), 4096).size(), 12 + 2048);  // between neighbours
}

TEST(CollectiveModel, what_is_not_summed_takes_rounds) {
  EXPECT_THAT(sizes({.kind = Kind::kBarrier}, 4), ElementsAre(0, 0));
  EXPECT_THAT(sizes({.kind = Kind::kIntegerSum, .bytes = 24}, 9), ElementsAre(24, 24, 24, 24));
  EXPECT_THAT(sizes({.kind = Kind::kBroadcast, .bytes = 8}, 2), ElementsAre(8));
  EXPECT_THAT(sizes({.kind = Kind::kGather, .bytes = 8}, 2), ElementsAre(8));
}

TEST(CollectiveModel, seconds_are_latencies_and_bytes) {
  const MessageCost cost{.small = {.latency_seconds = 1e-3, .seconds_per_byte = 1e-8},
                         .large = {.latency_seconds = 5e-3, .seconds_per_byte = 2e-8}};
  EXPECT_DOUBLE_EQ(cost.seconds({.kind = Kind::kBarrier}, 2), 1e-3);
  EXPECT_DOUBLE_EQ(cost.seconds(sum_of(1000), 8), 3e-3 + 7000e-8);
  EXPECT_DOUBLE_EQ(cost.seconds(sum_of(1'000'000), 2), 2 * (5e-3 + 500'000 * 2e-8));
}

class Fit : public testing::Test {
 protected:
  static std::vector<TimedCollective> timed(const MessageCost& cost, std::int64_t ranks,
                                            const std::vector<std::int64_t>& bytes) {
    std::vector<TimedCollective> result;
    for (const auto n : bytes) {
      result.push_back({sum_of(n), cost.seconds(sum_of(n), ranks)});
    }
    return result;
  }
};

TEST_F(Fit, the_costs_that_made_the_figures_are_found) {
  const MessageCost made{.small = {.latency_seconds = 3e-5, .seconds_per_byte = 9e-9},
                         .large = {.latency_seconds = 1e-4, .seconds_per_byte = 8e-9}};
  for (const std::int64_t ranks : {2, 4}) {
    SCOPED_TRACE(ranks);
    const auto found = fit_message_cost(
        timed(made, ranks, {64, 1 << 10, 8 << 10, 1 << 20, 2 << 20, 16 << 20}), ranks);
    EXPECT_NEAR(found.small.latency_seconds / 3e-5, 1, 1e-6);
    EXPECT_NEAR(found.small.seconds_per_byte / 9e-9, 1, 1e-6);
    EXPECT_NEAR(found.large.latency_seconds / 1e-4, 1, 1e-6);
    EXPECT_NEAR(found.large.seconds_per_byte / 8e-9, 1, 1e-6);
  }
}

TEST_F(Fit, no_cost_is_below_zero) {
  const std::vector<TimedCollective> faster_when_large = {
      {sum_of(64), 2e-3}, {sum_of(32 << 10), 1e-3}, {sum_of(1 << 20), 1e-3}};
  const auto found = fit_message_cost(faster_when_large, 2);
  EXPECT_GT(found.small.latency_seconds, 0);
  EXPECT_EQ(found.small.seconds_per_byte, 0);
  EXPECT_GE(found.large.latency_seconds, 0);
  EXPECT_GE(found.large.seconds_per_byte, 0);
}

TEST_F(Fit, large_messages_that_nobody_sent_cost_what_small_ones_cost) {
  const MessageCost made{.small = {.latency_seconds = 3e-5, .seconds_per_byte = 9e-9}, .large = {}};
  const auto found = fit_message_cost(timed(made, 2, {64, 1 << 10, 32 << 10}), 2);
  EXPECT_NEAR(found.large.latency_seconds / 3e-5, 1, 1e-6);
  EXPECT_NEAR(found.large.seconds_per_byte / 9e-9, 1, 1e-6);
}

}  // namespace
}  // namespace gondola
