#include "trainer/parallel/gradient_reducer.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <algorithm>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

class GradientReducerTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};
  double rank_sum = comm.size() * (comm.size() - 1) / 2.0;

  /// Element i of rank r is i + r, whose sum over the ranks is W i + (0 + 1 + ... + W - 1).
  torch::Tensor mine(std::int64_t count) const {
    return torch::arange(count, torch::kFloat64) + comm.rank();
  }
};

TEST_F(GradientReducerTest, every_element_is_added_once_whatever_the_bucket) {
  for (const std::int64_t bucket_bytes : {1, 8, 56, 800, 1 << 20}) {
    auto flat = mine(101);
    GradientReducer(comm, bucket_bytes).reduce(flat);
    const auto expected = torch::arange(101, torch::kFloat64) * comm.size() + rank_sum;
    EXPECT_TRUE(torch::equal(flat, expected)) << bucket_bytes;
  }
}

TEST_F(GradientReducerTest, a_started_reduction_comes_to_the_same_once_it_was_waited_for) {
  for (const std::int64_t bucket_bytes : {1, 56, 800, 1 << 20}) {
    auto flat = mine(101);
    auto pending = GradientReducer(comm, bucket_bytes).start(flat);
    pending.progress();
    pending.wait();
    const auto expected = torch::arange(101, torch::kFloat64) * comm.size() + rank_sum;
    EXPECT_TRUE(torch::equal(flat, expected)) << bucket_bytes;
    EXPECT_FALSE(progress.inside());
  }
}

TEST_F(GradientReducerTest, no_bit_depends_on_the_bucket_nor_on_whether_it_was_started_only) {
  constexpr std::int64_t kCount = 300'007;
  MpiCommunicator pairs(MPI_COMM_WORLD, progress, {.ranks_a_node = 2});
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    // Over many magnitudes, so that the order of additions shows.
    auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(comm.rank()));
    const auto magnitudes = torch::pow(10.0, 6 * torch::rand({kCount}, generator, torch::kFloat64));
    const auto values = (torch::randn({kCount}, generator, torch::kFloat64) * magnitudes).to(type);
    for (auto* const ranks : {&comm, &pairs}) {
      auto whole = values.clone();
      GradientReducer(*ranks).reduce(whole);
      for (const std::int64_t bucket_bytes : {4096, 12'344, 65'536, 200'000, 1 << 20}) {
        auto cut = values.clone();
        GradientReducer reducer(*ranks, bucket_bytes);
        reducer.reduce(cut);
        EXPECT_TRUE(torch::equal(cut, whole)) << type << ", " << bucket_bytes;
        // Each bucket by itself, small ones gathered.
        auto one_by_one = values.clone();
        const auto count = bucket_bytes / static_cast<std::int64_t>(values.element_size());
        for (std::int64_t first = 0; first < kCount; first += count) {
          auto bucket = one_by_one.narrow(0, first, std::min(count, kCount - first));
          ranks->all_reduce_sum(bucket);
        }
        EXPECT_TRUE(torch::equal(one_by_one, whole)) << type << ", " << bucket_bytes;
        auto started = values.clone();
        auto pending = reducer.start(started);
        pending.progress();
        pending.wait();
        EXPECT_TRUE(torch::equal(started, whole)) << type << ", " << bucket_bytes;
      }
    }
  }
  pairs.close();
}

TEST_F(GradientReducerTest, bytes_are_the_buffers_and_none_alone) {
  auto flat = mine(101);
  const auto bytes = GradientReducer(comm).reduce(flat);
  EXPECT_EQ(bytes, comm.size() == 1 ? 0 : 101 * 8);
}

TEST_F(GradientReducerTest, a_bucket_bounds_each_collective) {
  auto flat = mine(100);
  GradientReducer(comm, 80).reduce(flat);  // the first one makes communicators
  const auto before = progress.sequence();
  GradientReducer(comm, 80).reduce(flat);
  EXPECT_EQ(progress.sequence() - before, comm.size() == 1 ? 0U : 10U);
}

TEST_F(GradientReducerTest, among_many_ranks_buckets_go_one_by_one_in_few_messages) {
  MpiCommunicator many(MPI_COMM_WORLD, progress, {.gather_bytes = 0, .few_messages_from = 1});
  auto flat = mine(100);
  const auto before = progress.sequence();
  GradientReducer(many, 80).reduce(flat);
  EXPECT_TRUE(torch::equal(flat, torch::arange(100, torch::kFloat64) * comm.size() + rank_sum));
  for (const auto& record : progress.log().records()) {
    if (record.sequence > before) {
      EXPECT_STREQ(record.name, "all_reduce_sum");
    }
  }
  many.close();
}

TEST_F(GradientReducerTest, a_buffer_that_needs_a_gradient_is_reduced_in_place) {
  auto flat = mine(3).set_requires_grad(true);
  GradientReducer(comm).reduce(flat);
  EXPECT_EQ(flat[0].item<double>(), rank_sum);
}

TEST_F(GradientReducerTest, a_matrix_is_refused) {
  auto matrix = torch::zeros({2, 2});
  EXPECT_THROW(GradientReducer(comm).reduce(matrix), c10::Error);
  EXPECT_THROW((void)GradientReducer(comm).start(matrix), c10::Error);
}

}  // namespace
}  // namespace gondola
