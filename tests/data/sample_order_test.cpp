#include "data/sample_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

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

// A checkpoint holds a position, not an order: another order would resume with other images.
TEST(SampleOrder, the_order_is_the_same_in_every_version_of_the_program) {
  EXPECT_THAT(order_of(SampleOrder(Shuffle::kFull, 1, 1, 10), 0, 10),
              ElementsAre(1, 6, 9, 8, 7, 2, 4, 3, 0, 5));
  EXPECT_THAT(order_of(SampleOrder(Shuffle::kBlocks, 3, 1, 10), 0, 10),
              ElementsAre(7, 5, 4, 8, 6, 9, 1, 2, 0, 3));
}

}  // namespace
}  // namespace gondola
