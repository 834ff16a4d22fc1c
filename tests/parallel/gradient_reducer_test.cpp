#include "trainer/parallel/gradient_reducer.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

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

TEST_F(GradientReducerTest, bytes_are_the_buffers_and_none_alone) {
  auto flat = mine(101);
  const auto bytes = GradientReducer(comm).reduce(flat);
  EXPECT_EQ(bytes, comm.size() == 1 ? 0 : 101 * 8);
}

TEST_F(GradientReducerTest, a_bucket_bounds_each_collective) {
  const auto before = progress.sequence();
  auto flat = mine(100);
  GradientReducer(comm, 80).reduce(flat);
  EXPECT_EQ(progress.sequence() - before, comm.size() == 1 ? 0U : 10U);
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
