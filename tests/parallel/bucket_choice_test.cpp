#include "trainer/parallel/bucket_choice.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <cstring>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

TEST(BucketForTest, latency_is_at_most_a_twentieth_of_a_buckets_seconds) {
  // 1 GB/s: 1 MiB takes 1.05 ms, to which 55 us of latency are a twentieth of the sum.
  EXPECT_EQ(bucket_for({.latency_seconds = 0, .seconds_per_byte = 1e-9}), kMebibyte);
  EXPECT_EQ(bucket_for({.latency_seconds = 55e-6, .seconds_per_byte = 1e-9}), kMebibyte);
  EXPECT_EQ(bucket_for({.latency_seconds = 56e-6, .seconds_per_byte = 1e-9}), 2 * kMebibyte);
  EXPECT_EQ(bucket_for({.latency_seconds = 220e-6, .seconds_per_byte = 1e-9}), 4 * kMebibyte);
  EXPECT_EQ(bucket_for({.latency_seconds = 30e-3, .seconds_per_byte = 80e-9}), 8 * kMebibyte);
}

TEST(BucketForTest, memory_is_bounded_whatever_the_latency) {
  EXPECT_EQ(bucket_for({.latency_seconds = 10, .seconds_per_byte = 1e-9}), 16 * kMebibyte);
  EXPECT_EQ(bucket_for({.latency_seconds = 1e-3, .seconds_per_byte = 0}), 16 * kMebibyte);
}

class BucketChoiceTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};
};

TEST_F(BucketChoiceTest, all_ranks_get_that_of_rank_zero_by_the_same_figures) {
  const auto gradient = torch::zeros({3 * kMebibyte}, torch::kFloat32);
  const auto choice = choose_bucket(0, gradient, comm);
  EXPECT_EQ(choice.measured(), comm.size() > 1);
  auto of_root = choice;
  MPI_Bcast(&of_root, sizeof of_root, MPI_BYTE, 0, MPI_COMM_WORLD);
  EXPECT_EQ(choice.bytes, of_root.bytes);
  EXPECT_EQ(std::memcmp(&choice.cost, &of_root.cost, sizeof choice.cost), 0);
  if (choice.measured()) {
    EXPECT_EQ(choice.bytes, bucket_for(choice.cost));
  }
  EXPECT_GE(choice.bytes, kSmallestBucket);
  EXPECT_LE(choice.bytes, kLargestBucket);
}

TEST_F(BucketChoiceTest, what_is_given_or_fits_into_one_bucket_is_not_measured) {
  const auto before = progress.sequence();
  const auto large = torch::zeros({3 * kMebibyte}, torch::kFloat64);
  EXPECT_EQ(choose_bucket(12'345, large, comm).bytes, 12'345);
  const auto small = torch::zeros({kMebibyte / 4}, torch::kFloat32);
  EXPECT_GE(choose_bucket(0, small, comm).bytes, kMebibyte);
  EXPECT_FALSE(choose_bucket(0, small, comm).measured());
  EXPECT_EQ(progress.sequence(), before);
}

TEST_F(BucketChoiceTest, measuring_gives_less_to_sums_than_a_slow_network_would_feel) {
  const auto gradient = torch::zeros({3 * kMebibyte}, torch::kFloat32);
  (void)choose_bucket(0, gradient, comm);
  for (const auto& record : progress.log().records()) EXPECT_LE(record.bytes, kMebibyte);
}

}  // namespace
}  // namespace gondola
