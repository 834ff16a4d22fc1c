#include "data/sample_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "data/batch_loader.hpp"

namespace gondola {
namespace {

using ::testing::ElementsAre;

std::vector<std::int64_t> order_of(const SampleOrder& order, std::int64_t epoch, std::int64_t n) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  order.fill(epoch, 0, ids);
  return ids;
}

std::vector<std::int64_t> sorted(std::vector<std::int64_t> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::int64_t> counting(std::int64_t n) {
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < n; ++i) ids.push_back(i);
  return ids;
}

TEST(KeyedPermutation, is_a_bijection_with_its_inverse_for_any_size) {
  for (const std::int64_t n : {1, 2, 3, 15, 16, 17, 255, 256, 257, 1000, 4095, 4097, 65537}) {
    const KeyedPermutation permutation(42, n);
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < n; ++i) {
      values.push_back(permutation(i));
      ASSERT_EQ(permutation.inverse(values.back()), i) << "of " << n;
    }
    ASSERT_EQ(sorted(values), counting(n)) << "of " << n;
  }
}

TEST(KeyedPermutation, stays_inside_sizes_beyond_32_bits) {
  const std::int64_t n = (std::int64_t{1} << 40) + 12345;
  const KeyedPermutation permutation(7, n);
  std::set<std::int64_t> values;
  for (std::int64_t i = 0; i < 1000; ++i) {
    const std::int64_t value = permutation(i * (n / 1000));
    ASSERT_GE(value, 0);
    ASSERT_LT(value, n);
    ASSERT_EQ(permutation.inverse(value), i * (n / 1000));
    values.insert(value);
  }
  EXPECT_EQ(values.size(), 1000U);
}

TEST(SampleOrder, every_image_comes_once_an_epoch) {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks, Shuffle::kNone}) {
    for (const std::int64_t n : {1, 2, 7, 64, 100, 1001, 5003}) {
      for (const std::int64_t block : {1, 3, 10, 64, 2000}) {
        const SampleOrder order(shuffle, block, 5, n);
        ASSERT_EQ(sorted(order_of(order, 3, n)), counting(n))
            << "N " << n << ", blocks of " << block << ", shuffle " << static_cast<int>(shuffle);
      }
    }
  }
}

TEST(SampleOrder, any_part_of_the_order_is_that_part_of_the_whole) {
  constexpr std::int64_t kImages = 1003;
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks, Shuffle::kNone}) {
    const SampleOrder order(shuffle, 10, 9, kImages);
    const auto whole = order_of(order, 2, kImages);
    for (const std::int64_t first : {0, 1, 159, 160, 500, 1000}) {
      for (const std::size_t count : {0, 1, 3}) {
        std::vector<std::int64_t> part(count);
        order.fill(2, first, part);
        ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first))
            << first << ", " << count;
      }
    }
  }
}

TEST(SampleOrder, none_is_the_order_of_the_file) {
  EXPECT_EQ(order_of(SampleOrder(Shuffle::kNone, 4, 1, 20), 6, 20), counting(20));
}

TEST(SampleOrder, seed_and_epoch_change_the_order) {
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks}) {
    const auto one = order_of(SampleOrder(shuffle, 8, 1, 500), 0, 500);
    EXPECT_NE(one, order_of(SampleOrder(shuffle, 8, 1, 500), 1, 500));
    EXPECT_NE(one, order_of(SampleOrder(shuffle, 8, 2, 500), 0, 500));
    EXPECT_EQ(one, order_of(SampleOrder(shuffle, 8, 1, 500), 0, 500));
  }
}

TEST(SampleOrder, full_puts_every_image_everywhere_equally_often) {
  constexpr std::int64_t kImages = 10;
  constexpr std::int64_t kEpochs = 20000;
  const SampleOrder order(Shuffle::kFull, 1, 11, kImages);
  std::vector<std::int64_t> count(kImages * kImages);
  for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const auto ids = order_of(order, epoch, kImages);
    for (std::size_t place = 0; place < ids.size(); ++place) {
      ++count[place * kImages + static_cast<std::size_t>(ids[place])];
    }
  }
  const double expected = static_cast<double>(kEpochs) / kImages;
  double chi_squared = 0;
  for (const std::int64_t seen : count) {
    chi_squared +=
        (static_cast<double>(seen) - expected) * (static_cast<double>(seen) - expected) / expected;
  }
  // 81 degrees of freedom: 81 +- 12.7, and the seed is fixed.
  EXPECT_LT(chi_squared, 81 + 4 * 12.7);
  EXPECT_GT(chi_squared, 81 - 4 * 12.7);
}

TEST(SampleOrder, blocks_reads_few_runs_of_the_file_at_a_time_and_mixes_them) {
  constexpr std::int64_t kBlock = 32;
  constexpr std::int64_t kImages = 100 * kBlock + 5;
  const SampleOrder order(Shuffle::kBlocks, kBlock, 3, kImages);
  const auto ids = order_of(order, 0, kImages);
  constexpr std::int64_t kWindow = SampleOrder::kWindowBlocks * kBlock;
  std::int64_t neighbours = 0;
  for (std::int64_t begin = 0; begin < kImages; begin += kWindow) {
    std::set<std::int64_t> runs;
    for (std::int64_t i = begin; i < std::min(kImages, begin + kWindow); ++i) {
      runs.insert(ids[static_cast<std::size_t>(i)] / kBlock);
    }
    // The short run shifts windows against runs, which adds one.
    EXPECT_LE(runs.size(), static_cast<std::size_t>(SampleOrder::kWindowBlocks) + 1);
  }
  for (std::size_t i = 1; i < ids.size(); ++i) neighbours += ids[i] == ids[i - 1] + 1 ? 1 : 0;
  EXPECT_LT(neighbours, kImages / 50);
}

TEST(SampleOrder, neighbours_in_the_order_are_strangers_in_the_file) {
  for (const std::int64_t n : {300, 5000, 70001}) {
    for (const std::uint64_t seed : {1, 2, 3}) {
      const auto ids = order_of(SampleOrder(Shuffle::kFull, 1, seed, n), 4, n);
      double product = 0, square = 0;
      const double mean = static_cast<double>(n - 1) / 2;
      for (std::size_t i = 1; i < ids.size(); ++i) {
        const double before = static_cast<double>(ids[i - 1]) - mean;
        const double now = static_cast<double>(ids[i]) - mean;
        product += before * now;
        square += now * now;
      }
      EXPECT_LT(std::abs(product / square), 4 / std::sqrt(static_cast<double>(n))) << n;
    }
  }
}

TEST(SampleOrder, all_orders_of_four_images_come_equally_often) {
  constexpr std::int64_t kEpochs = 24000;
  const SampleOrder order(Shuffle::kFull, 1, 5, 4);
  std::map<std::vector<std::int64_t>, std::int64_t> seen;
  for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) ++seen[order_of(order, epoch, 4)];
  ASSERT_EQ(seen.size(), 24U);
  double chi_squared = 0;
  for (const auto& [_, count] : seen) {
    chi_squared += (static_cast<double>(count) - 1000) * (static_cast<double>(count) - 1000) / 1000;
  }
  EXPECT_LT(chi_squared, 23 + 4 * 6.8);  // 23 degrees of freedom, and the seed is fixed
}

/// Slices of 100 global batches of a training set of LSUN's size, on 1,000 ranks.
TEST(SampleOrder, a_thousand_ranks_see_each_image_of_their_batches_once) {
  constexpr std::int64_t kImages = 3'000'000, kRanks = 1000, kBatches = 100, kBatch = 4096;
  using Clock = std::chrono::steady_clock;
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks}) {
    const SampleOrder order(shuffle, 1024, 8, kImages);
    std::vector<char> seen(kImages);
    std::vector<std::int64_t> ids, whole(kBatch);
    auto fastest_of_slowest = Clock::duration::max();  // of a quiet moment: the machine is shared
    for (std::int64_t batch = 0; batch < kBatches; ++batch) {
      order.fill(1, batch * kBatch, whole);
      auto slowest = Clock::duration::zero();
      for (std::int64_t rank = 0; rank < kRanks; ++rank) {
        const Slice slice = slice_of(kBatch, rank, kRanks);
        ids.resize(static_cast<std::size_t>(slice.size()));
        const auto start = Clock::now();
        order.fill(1, batch * kBatch + slice.begin, ids);
        slowest = std::max(slowest, Clock::now() - start);
        ASSERT_TRUE(std::equal(ids.begin(), ids.end(), whole.begin() + slice.begin));
        for (const std::int64_t id : ids) ASSERT_EQ(seen[static_cast<std::size_t>(id)]++, 0) << id;
      }
      fastest_of_slowest = std::min(fastest_of_slowest, slowest);
    }
    EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), std::int64_t{0}), kBatches * kBatch);
    EXPECT_LT(fastest_of_slowest, std::chrono::milliseconds(1));
    if (shuffle != Shuffle::kBlocks) continue;
    std::set<std::int64_t> runs;
    for (std::int64_t id = 0; id < kImages; ++id) {
      if (seen[static_cast<std::size_t>(id)] != 0) runs.insert(id / 1024);
    }
    // 400 full runs at the least; windows are of 16, so the last may be cut anywhere.
    const auto least = (kBatches * kBatch + 1023) / 1024;
    EXPECT_LE(static_cast<std::int64_t>(runs.size()), least + SampleOrder::kWindowBlocks);
  }
}

TEST(SampleOrder, a_window_reads_the_runs_it_names) {
  for (const std::int64_t n : {37, 100, 640, 1003, 5000}) {
    const SampleOrder order(Shuffle::kBlocks, 10, 3, n);
    const auto ids = order_of(order, 2, n);
    for (std::int64_t begin = 0; begin < n; begin += order.window_images()) {
      const auto runs = order.runs_of_window(2, begin / order.window_images());
      for (std::int64_t p = begin; p < std::min(n, begin + order.window_images()); ++p) {
        const std::int64_t id = ids[static_cast<std::size_t>(p)];
        ASSERT_TRUE(std::any_of(
            runs.begin(), runs.end(),
            [&](const ImageRun& run) { return id >= run.first && id < run.first + run.images; }))
            << id << " of " << n;
      }
      ASSERT_LE(runs.size(), static_cast<std::size_t>(SampleOrder::kWindowBlocks) + 1);
    }
  }
}

TEST(SampleOrder, a_thousand_million_images_take_no_memory) {
  constexpr std::int64_t kImages = 1'000'000'000;
  for (const Shuffle shuffle : {Shuffle::kFull, Shuffle::kBlocks, Shuffle::kNone}) {
    const SampleOrder order(shuffle, 1024, 8, kImages);
    std::vector<std::int64_t> ids(64), again(32);
    order.fill(3, kImages - 64, ids);
    order.fill(3, kImages - 32, again);
    EXPECT_TRUE(std::equal(again.begin(), again.end(), ids.begin() + 32));
    EXPECT_EQ(std::set<std::int64_t>(ids.begin(), ids.end()).size(), 64U);
    for (const std::int64_t id : ids) EXPECT_TRUE(id >= 0 && id < kImages) << id;
  }
}

// A checkpoint holds a position, not an order: another order would resume with other images.
TEST(SampleOrder, the_order_is_the_same_in_every_version_of_the_program) {
  EXPECT_THAT(order_of(SampleOrder(Shuffle::kFull, 1, 1, 10), 0, 10),
              ElementsAre(8, 9, 2, 7, 0, 6, 3, 4, 1, 5));
  EXPECT_THAT(order_of(SampleOrder(Shuffle::kBlocks, 3, 1, 10), 0, 10),
              ElementsAre(4, 9, 7, 3, 2, 5, 6, 0, 1, 8));
}

}  // namespace
}  // namespace gondola
