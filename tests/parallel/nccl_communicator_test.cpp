#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <chrono>
#include <memory>
#include <thread>

#include "trainer/parallel/make_communicator.hpp"

namespace gondola {
namespace {

/// One rank on one GPU: what can be checked of NCCL on a machine with a single GPU.
class NcclCommunicatorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device here";
    comm = make_communicator(torch::Device(torch::kCUDA, 0), MPI_COMM_WORLD, progress, 60.0);
  }

  CollectiveProgress progress;
  std::unique_ptr<Communicator> comm;
};

TEST_F(NcclCommunicatorTest, a_sum_over_one_rank_is_the_tensor_itself) {
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kInt64}) {
    auto tensor = torch::arange(1000, torch::TensorOptions(torch::kCUDA).dtype(type));
    const auto before = tensor.clone();
    comm->all_reduce_sum(tensor);
    EXPECT_TRUE(torch::equal(tensor, before));
  }
}

TEST_F(NcclCommunicatorTest, gathering_adds_a_dimension_and_broadcast_keeps_the_values) {
  auto tensor = torch::arange(6, torch::kCUDA).view({2, 3});
  const auto all = comm->all_gather(tensor);
  EXPECT_EQ(all.sizes().vec(), (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_TRUE(torch::equal(all[0], tensor));
  comm->broadcast(tensor, 0);
  EXPECT_TRUE(torch::equal(tensor, torch::arange(6, torch::kCUDA).view({2, 3})));
}

TEST_F(NcclCommunicatorTest, progress_is_left_once_the_gpu_is_past_the_collective) {
  const auto before = progress.sequence();
  comm->barrier();
  EXPECT_EQ(progress.sequence(), before + 1);
  for (int i = 0; i < 100 && progress.inside(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(progress.inside());
}

TEST_F(NcclCommunicatorTest, a_tensor_of_the_cpu_is_refused) {
  auto tensor = torch::ones({1});
  EXPECT_THROW(comm->all_reduce_sum(tensor), c10::Error);
}

}  // namespace
}  // namespace gondola
