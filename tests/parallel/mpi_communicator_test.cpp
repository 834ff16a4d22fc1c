#include "trainer/parallel/mpi_communicator.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "configs/errors.hpp"
#include "trainer/parallel/make_communicator.hpp"
#include "trainer/parallel/mpi_check.hpp"

namespace gondola {
namespace {

class MpiCommunicatorTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};

  /// Random values over many magnitudes, so that the order of additions shows in the last bits;
  /// different on every rank, the same for the same (rank, count).
  static torch::Tensor values_of(int rank, std::int64_t count, torch::ScalarType type) {
    const auto options = torch::TensorOptions().dtype(torch::kFloat64);
    auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(1000 + rank));
    const auto magnitudes = torch::pow(10.0, 6.0 * torch::rand({count}, generator, options));
    return (torch::randn({count}, generator, options) * magnitudes).to(type);
  }

  torch::Tensor mine(std::int64_t count, torch::ScalarType type) const {
    return values_of(comm.rank(), count, type);
  }

  /// What adding in any order must come close to: the sum in double precision.
  torch::Tensor expected_sum(std::int64_t count, torch::ScalarType type) const {
    auto sum = torch::zeros({count}, torch::kFloat64);
    for (int r = 0; r < comm.size(); ++r) sum += values_of(r, count, type).to(torch::kFloat64);
    return sum;
  }

  /// ((v0 + v1) + v2) + ..., to the last bit.
  torch::Tensor sum_in_rank_order(std::int64_t count, torch::ScalarType type) const {
    auto sum = values_of(0, count, type);
    for (int r = 1; r < comm.size(); ++r) sum += values_of(r, count, type);
    return sum;
  }

  /// Compares bits with rank 0's through MPI alone.
  static bool same_bits_as_rank_0(const torch::Tensor& tensor) {
    std::vector<char> of_root(tensor.nbytes());
    std::memcpy(of_root.data(), tensor.const_data_ptr(), of_root.size());
    MPI_Bcast(of_root.data(), static_cast<int>(of_root.size()), MPI_BYTE, 0, MPI_COMM_WORLD);
    return std::memcmp(of_root.data(), tensor.const_data_ptr(), of_root.size()) == 0;
  }
};

TEST_F(MpiCommunicatorTest, a_sum_is_added_in_rank_order_on_all_ranks_at_every_size) {
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    for (const std::int64_t count : {1, 2, 5, 63, 1000, 4096, 20'011, 300'007}) {
      auto sum = mine(count, type);
      comm.all_reduce_sum(sum);
      EXPECT_TRUE(torch::equal(sum, sum_in_rank_order(count, type))) << type << " x " << count;
    }
  }
}

TEST_F(MpiCommunicatorTest, a_sum_is_added_on_each_machine_and_then_over_machines) {
  // Of 4 ranks two machines of two; of 2 or 3 one of all, for machines differ or there is one.
  MpiCommunicator pairs(MPI_COMM_WORLD, progress, {.ranks_a_node = 2});
  const auto type = torch::kFloat32;
  for (const std::int64_t count : {0, 1, 3, 1000, 20'011, 300'007}) {
    auto expected = sum_in_rank_order(count, type);
    if (comm.size() == 4) {
      expected = (values_of(0, count, type) + values_of(1, count, type)) +
                 (values_of(2, count, type) + values_of(3, count, type));
    }
    auto sum = mine(count, type);
    pairs.all_reduce_sum(sum);
    EXPECT_TRUE(torch::equal(sum, expected)) << count;
    auto started = mine(count, type);
    pairs.start_all_reduce_sum(started)->wait();
    EXPECT_TRUE(torch::equal(started, expected)) << count;
  }
  pairs.close();
}

TEST_F(MpiCommunicatorTest, many_ranks_get_the_same_bits_in_few_messages) {
  MpiCommunicator many(MPI_COMM_WORLD, progress, {.gather_bytes = 0, .few_messages_from = 1});
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    for (const std::int64_t count : {1, 2, 5, 1000, 300'007}) {
      auto sum = mine(count, type);
      many.all_reduce_sum(sum);
      EXPECT_TRUE(same_bits_as_rank_0(sum)) << type << " x " << count;
      const double tolerance = type == torch::kFloat32 ? 1e1 : 1e-7;  // of values up to 5e6
      const auto error = (sum.to(torch::kFloat64) - expected_sum(count, type)).abs();
      EXPECT_LE(error.max().item<double>(), tolerance) << type << " x " << count;
    }
  }
  many.close();
}

TEST_F(MpiCommunicatorTest, a_sum_repeated_has_the_same_bits) {
  for (const std::int64_t count : {63, 300'007}) {
    auto once = mine(count, torch::kFloat32);
    auto again = once.clone();
    comm.all_reduce_sum(once);
    comm.all_reduce_sum(again);
    EXPECT_TRUE(torch::equal(once, again)) << count;
  }
}

TEST_F(MpiCommunicatorTest, a_started_sum_has_the_same_bits_on_all_ranks_at_every_size) {
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    for (const std::int64_t count : {0, 1, 2, 5, 63, 1000, 20'011, 300'007}) {
      auto sum = mine(count, type);
      const auto pending = comm.start_all_reduce_sum(sum);
      if (count % 2 == 0) pending->progress();
      pending->wait();
      EXPECT_TRUE(torch::equal(sum, sum_in_rank_order(count, type))) << type << " x " << count;
    }
  }
  auto integers = torch::arange(7) + comm.rank();
  comm.start_all_reduce_sum(integers)->wait();
  const auto ranks = std::int64_t{comm.size()};
  EXPECT_TRUE(torch::equal(integers, torch::arange(7) * ranks + ranks * (ranks - 1) / 2));
}

TEST_F(MpiCommunicatorTest, other_collectives_may_come_while_sums_are_under_way) {
  auto first = mine(100'003, torch::kFloat64);
  auto second = mine(1003, torch::kFloat32);
  auto pending_first = comm.start_all_reduce_sum(first);
  auto pending_second = comm.start_all_reduce_sum(second);
  auto between = mine(5001, torch::kFloat64);
  comm.all_reduce_sum(between);
  comm.barrier();
  pending_second->wait();
  pending_first->wait();
  const auto close = [&](const torch::Tensor& sum, double tolerance) {
    const auto expected = expected_sum(sum.numel(), sum.scalar_type());
    return torch::allclose(sum.to(torch::kFloat64), expected, tolerance, tolerance * 1e6);
  };
  EXPECT_TRUE(close(first, 1e-12));
  EXPECT_TRUE(close(second, 1e-5));
  EXPECT_TRUE(close(between, 1e-12));
}

TEST_F(MpiCommunicatorTest, sums_that_wait_for_their_turn_come_to_it_by_progress_of_any) {
  constexpr std::int64_t kCount = 10'007;
  std::vector<torch::Tensor> sums;
  std::vector<std::unique_ptr<PendingSum>> pending;
  for (int i = 0; i < 7; ++i) {
    sums.push_back(mine(kCount, torch::kFloat32));
    pending.push_back(comm.start_all_reduce_sum(sums.back()));
  }
  const auto last = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (progress.inside() && std::chrono::steady_clock::now() < last) pending[6]->progress();
  EXPECT_FALSE(progress.inside());
  for (const auto& sum : sums) {
    EXPECT_TRUE(torch::equal(sum, sum_in_rank_order(kCount, torch::kFloat32)));
  }
  pending[6]->wait();
}

TEST_F(MpiCommunicatorTest, a_started_sum_ends_by_progress_alone) {
  auto sum = mine(300'007, torch::kFloat32);
  const auto pending = comm.start_all_reduce_sum(sum);
  const auto last = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (progress.inside() && std::chrono::steady_clock::now() < last) pending->progress();
  EXPECT_FALSE(progress.inside());
  EXPECT_TRUE(same_bits_as_rank_0(sum));
  const auto left = progress.log().records().back().left;
  EXPECT_GT(left, 0);
  pending->wait();
  EXPECT_EQ(progress.log().records().back().left, left) << "it had ended before";
}

TEST_F(MpiCommunicatorTest, a_started_sum_is_a_collective_until_it_has_ended) {
  auto sum = torch::ones({1000});
  comm.start_all_reduce_sum(sum)->wait();  // the first one makes communicators
  const auto before = progress.sequence();
  const auto pending = comm.start_all_reduce_sum(sum);
  EXPECT_EQ(progress.sequence(), before + 1);
  EXPECT_TRUE(progress.inside());
  const auto entered = progress.log().records().back();
  EXPECT_STREQ(entered.name, "start_all_reduce_sum");
  EXPECT_EQ(entered.bytes, 4000);
  EXPECT_EQ(entered.left, 0);
  pending->wait();
  EXPECT_FALSE(progress.inside());
  EXPECT_GT(progress.log().records().back().left, 0);
  EXPECT_EQ(progress.sequence(), before + 1);
}

TEST_F(MpiCommunicatorTest, messages_are_cut_where_counts_would_not_fit) {
  MpiCommunicator cut(MPI_COMM_WORLD, progress, {.gather_bytes = 0, .largest_count = 10});
  for (const std::int64_t count : {0, 1, 9, 10, 11, 1003}) {
    auto sum = mine(count, torch::kFloat64);
    cut.all_reduce_sum(sum);
    EXPECT_TRUE(torch::allclose(sum, expected_sum(count, torch::kFloat64), 1e-12, 1e-6)) << count;

    auto started = mine(count, torch::kFloat64);
    cut.start_all_reduce_sum(started)->wait();
    EXPECT_TRUE(torch::allclose(started, sum, 1e-12, 1e-6)) << count;

    auto integers = torch::arange(count) + comm.rank();
    cut.all_reduce_sum(integers);
    const auto ranks = std::int64_t{comm.size()};
    EXPECT_TRUE(torch::equal(integers, torch::arange(count) * ranks + ranks * (ranks - 1) / 2));

    auto copied = torch::arange(count) * (comm.rank() + 1);
    cut.broadcast(copied, comm.size() - 1);
    EXPECT_TRUE(torch::equal(copied, torch::arange(count) * ranks)) << count;

    const auto all = cut.all_gather(torch::arange(count) + 100 * comm.rank());
    for (int r = 0; r < comm.size(); ++r) {
      EXPECT_TRUE(torch::equal(all[r], torch::arange(count) + 100 * r)) << count << ", row " << r;
    }
  }
  cut.close();
}

TEST_F(MpiCommunicatorTest, any_type_is_broadcast_and_gathered_with_its_shape) {
  auto flags = torch::full({2, 3}, comm.rank() == 0, torch::kBool);
  comm.broadcast(flags, 0);
  EXPECT_TRUE(flags.all().item<bool>());

  const auto all = comm.all_gather(torch::full({2, 1, 3}, comm.rank(), torch::kUInt8));
  EXPECT_EQ(all.sizes().vec(), (std::vector<std::int64_t>{comm.size(), 2, 1, 3}));
  EXPECT_EQ(all.scalar_type(), torch::kUInt8);
  EXPECT_EQ(all[comm.size() - 1].max().item<int>(), comm.size() - 1);
}

TEST_F(MpiCommunicatorTest, a_gathered_tensor_carries_no_graph) {
  const auto weights = torch::ones({3}).set_requires_grad(true);
  EXPECT_FALSE(comm.all_gather(weights).requires_grad());
}

TEST_F(MpiCommunicatorTest, a_barrier_waits_for_the_last_rank) {
  using Clock = std::chrono::steady_clock;  // one for all processes of a machine
  MPI_Barrier(MPI_COMM_WORLD);
  if (comm.rank() == 0) {
    const auto until = Clock::now() + std::chrono::milliseconds(200);
    while (Clock::now() < until) {
    }
  }
  auto came = torch::tensor(static_cast<std::int64_t>(Clock::now().time_since_epoch().count()));
  comm.barrier();
  const auto left = Clock::now().time_since_epoch().count();
  comm.broadcast(came, 0);
  EXPECT_GE(left, came.item<std::int64_t>());
}

TEST_F(MpiCommunicatorTest, progress_counts_collectives_and_is_outside_between_them) {
  const auto before = progress.sequence();
  auto one = torch::ones({1});
  comm.all_reduce_sum(one);
  comm.barrier();
  EXPECT_EQ(progress.sequence(), before + 2);
  EXPECT_FALSE(progress.inside());
}

TEST_F(MpiCommunicatorTest, unsuitable_tensors_are_refused_before_any_message) {
  auto strided = torch::ones({4, 4}).narrow(1, 0, 2);
  EXPECT_THROW(comm.all_reduce_sum(strided), c10::Error);
  auto bytes = torch::ones({4}, torch::kUInt8);
  EXPECT_THROW(comm.all_reduce_sum(bytes), c10::Error);
  EXPECT_FALSE(progress.inside());
}

TEST_F(MpiCommunicatorTest, a_failed_call_names_the_call_and_the_place) {
  try {
    mpi_check(MPI_ERR_TRUNCATE, "MPI_Bcast");
    FAIL() << "nothing was thrown";
  } catch (const CommError& error) {
    const std::string sentence = error.what();
    EXPECT_NE(sentence.find("MPI_Bcast in "), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("mpi_communicator_test.cpp:"), std::string::npos) << sentence;
    EXPECT_EQ(error.code(), ExitCode::kPeerLost);
  }
}

TEST_F(MpiCommunicatorTest, an_error_inside_mpi_is_thrown_not_fatal) {
  auto tensor = torch::ones({1});
  EXPECT_THROW(comm.broadcast(tensor, comm.size()), CommError);  // no such root
}

TEST_F(MpiCommunicatorTest, the_factory_gives_mpi_for_the_cpu) {
  const auto made = make_communicator(torch::kCPU, MPI_COMM_WORLD, progress, 10.0);
  auto one = torch::ones({1});
  made->all_reduce_sum(one);
  EXPECT_EQ(one.item<float>(), static_cast<float>(comm.size()));
}

}  // namespace
}  // namespace gondola
