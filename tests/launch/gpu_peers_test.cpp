#include "launch/gpu_peers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gondola {
namespace {

using testing::HasSubstr;

std::vector<GpuOfRank> gpus_seeing(const std::vector<int>& visible) {
  std::vector<GpuOfRank> gpus;
  for (const int seen : visible) {
    const auto number = static_cast<int>(gpus.size());
    gpus.push_back({.rank = 8 + number,
                    .bus_id = "0000:0" + std::to_string(number) + ":00.0",
                    .visible = seen});
  }
  return gpus;
}

/// Direct where both are in one group.
PeerAccess access_within(const std::vector<int>& group) {
  PeerAccess access;
  for (const int from : group) {
    auto& row = access.emplace_back();
    for (const int to : group) row.push_back(from == to);
  }
  return access;
}

TEST(GpuPeersTest, where_all_reach_each_other_or_none_does_no_pair_is_named) {
  const auto gpus = gpus_seeing({4, 4, 4, 4});
  EXPECT_EQ(peer_access_in_words(gpus, access_within({0, 0, 0, 0})),
            "4 GPUs, each reaches all others directly (peer to peer)");
  EXPECT_EQ(peer_access_in_words(gpus, access_within({0, 1, 2, 3})),
            "4 GPUs, none reaches another but through host memory");
}

TEST(GpuPeersTest, pairs_that_do_not_reach_each_other_are_named) {
  EXPECT_EQ(peer_access_in_words(gpus_seeing({3, 3, 3}), access_within({0, 0, 1})),
            "3 GPUs, 1 of 3 pairs reach each other directly, through host memory only "
            "0000:00:00.0 and 0000:02:00.0, 0000:01:00.0 and 0000:02:00.0");
  const auto many = peer_access_in_words(gpus_seeing({8, 8, 8, 8, 8, 8, 8, 8}),
                                         access_within({0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_THAT(many, HasSubstr("12 of 28 pairs"));
  EXPECT_THAT(many, HasSubstr(" and 12 more"));
}

TEST(GpuPeersTest, access_one_way_is_none) {
  auto access = access_within({0, 0});
  access[1][0] = false;
  EXPECT_THAT(peer_access_in_words(gpus_seeing({2, 2}), access), HasSubstr("none reaches"));
}

TEST(GpuPeersTest, ranks_that_see_one_gpu_of_several_are_named_with_the_cure) {
  const auto sentence = narrow_view_warning(gpus_seeing({1, 1, 1, 1}), "node7");
  EXPECT_THAT(sentence,
              HasSubstr("ranks 8, 9, 10, 11 see one of the 4 GPUs that are used on node7"));
  EXPECT_THAT(sentence, HasSubstr("--gpus-per-node"));
  EXPECT_THAT(narrow_view_warning(gpus_seeing({2, 1}), "node7"), HasSubstr("rank 9 sees one"));
}

TEST(GpuPeersTest, there_is_no_warning_where_all_are_seen_or_there_is_one) {
  EXPECT_EQ(narrow_view_warning(gpus_seeing({4, 4}), "node7"), "");
  EXPECT_EQ(narrow_view_warning(gpus_seeing({1}), "node7"), "");
}

}  // namespace
}  // namespace gondola
