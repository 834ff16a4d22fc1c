// The collectives of NcclCommunicator, over a fake NCCL on the host.

#include <gtest/gtest.h>
#include <torch/types.h>

#include <atomic>
#include <vector>

#include "tests/parallel/nccl_fixture.hpp"
#include "tests/support/relative_error.hpp"

namespace gondola {
namespace {

class NcclCollectivesTest : public NcclOnHost {
 protected:
  [[nodiscard]] torch::Tensor mine(std::int64_t count, torch::ScalarType type) const {
    auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(100 + mpi.rank()));
    return (torch::randn({count}, generator, torch::kFloat64) * 1000).to(type);
  }
};

TEST_F(NcclCollectivesTest, sums_are_those_of_mpi) {
  const auto comm = make();
  for (const std::int64_t count : {1, 5, 1000, 300'007}) {
    for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kInt64}) {
      auto sum = mine(count, type);
      auto expected = sum.clone();
      comm->all_reduce_sum(sum);
      mpi.all_reduce_sum(expected);
      device.queue.synchronize();
      const double tolerance = type == torch::kFloat32 ? 1e-6 : type == torch::kFloat64 ? 1e-14 : 0;
      EXPECT_LE(relative_error(sum, expected), tolerance) << type << " x " << count;
    }
  }
}

TEST_F(NcclCollectivesTest, any_type_is_broadcast_from_any_rank_and_gathered_with_its_shape) {
  const auto comm = make();
  for (int root = 0; root < comm->size(); ++root) {
    auto flags = torch::full({2, 3}, comm->rank() == root, torch::kBool);
    comm->broadcast(flags, root);
    device.queue.synchronize();
    EXPECT_TRUE(flags.all().item<bool>()) << root;
  }
  const auto own = torch::full({2, 1, 3}, comm->rank(), torch::kInt16);
  const auto all = comm->all_gather(own);
  device.queue.synchronize();
  EXPECT_EQ(all.sizes().vec(), (std::vector<std::int64_t>{comm->size(), 2, 1, 3}));
  for (int r = 0; r < comm->size(); ++r) {
    EXPECT_TRUE(all[r].eq(r).all().item<bool>()) << r;
  }
}

TEST_F(NcclCollectivesTest, many_collectives_follow_each_other_in_the_order_of_the_stream) {
  const std::chrono::milliseconds slow(last_rank ? 1 : 0);
  const auto comm = make({.delay = slow});
  auto value = torch::ones({1000}, torch::kInt64);
  double expected = 1;
  for (int i = 0; i < 20; ++i) {
    comm->all_reduce_sum(value);
    device.queue.push([value]() mutable { value.add_(1); });  // on the stream, between them
    comm->broadcast(value, i % comm->size());
    expected = expected * comm->size() + 1;
    if (comm->size() == 4 && i % 8 == 7) {  // before it outgrows 64 bits
      device.queue.push([value]() mutable { value.fill_(1); });
      expected = 1;
    }
  }
  device.queue.synchronize();
  EXPECT_TRUE(value.eq(static_cast<std::int64_t>(expected)).all().item<bool>());
  EXPECT_EQ(fake_nccl::counts().ended, 40);
}

TEST_F(NcclCollectivesTest, a_barrier_waits_for_what_the_last_rank_does_before) {
  const auto comm = make();
  int before = 0;
  if (last_rank) before = 7;
  MPI_Win window = MPI_WIN_NULL;
  int* shared = nullptr;
  MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &shared,
                          &window);
  MPI_Aint bytes = 0;
  int unit = 0;
  MPI_Win_shared_query(window, 0, &bytes, &unit, &shared);
  std::atomic_ref<int> word(*shared);
  if (comm->rank() == 0) word = 0;
  MPI_Barrier(MPI_COMM_WORLD);
  if (last_rank) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the others are in the barrier
    word = before;
  }
  comm->barrier();
  EXPECT_EQ(word.load(), 7);
  EXPECT_FALSE(progress.inside());
  MPI_Win_free(&window);
}

TEST_F(NcclCollectivesTest, the_host_goes_on_while_a_collective_is_held_up) {
  const auto comm = make({.hold = 1});
  auto held = torch::ones({3});
  auto behind = torch::ones({3});
  comm->all_reduce_sum(held);
  comm->all_reduce_sum(behind);
  EXPECT_EQ(fake_nccl::counts().collectives, 2);
  EXPECT_EQ(fake_nccl::counts().ended, 0);
  fake_nccl::release();
  device.queue.synchronize();
  EXPECT_EQ(fake_nccl::counts().ended, 2);
  EXPECT_TRUE(behind.eq(comm->size()).all().item<bool>());
}

TEST_F(NcclCollectivesTest, a_started_sum_runs_beside_the_stream_and_is_there_after_the_wait) {
  const auto comm = make({.hold = 2});
  auto before = torch::ones({3}, torch::kInt64);
  auto started = torch::zeros({1000}, torch::kFloat64);
  comm->all_reduce_sum(before);
  device.queue.push([before, started]() mutable { started.add_(before[0]); });  // W
  const auto pending = comm->start_all_reduce_sum(started);
  std::atomic<bool> computed = false;
  device.queue.push([&] { computed = true; });  // of the pass that hides it
  EXPECT_TRUE(until([&] { return computed.load(); })) << "the stream waits for the started sum";
  EXPECT_EQ(fake_nccl::counts().ended, 1);
  EXPECT_TRUE(is_in("ncclAllReduce"));

  pending->wait();
  auto seen = torch::zeros({});
  device.queue.push([&] { seen = started.min(); });
  EXPECT_TRUE(looked(3));
  EXPECT_EQ(fake_nccl::counts().ended, 1);
  fake_nccl::release();
  synchronize();
  EXPECT_EQ(seen.item<double>(), comm->size() * comm->size());
  EXPECT_TRUE(until([&] { return !progress.inside(); }));
}

TEST_F(NcclCollectivesTest, a_collective_behind_a_started_sum_runs_behind_it_waited_for_or_not) {
  const auto comm = make({.hold = 1});
  auto started = torch::ones({3});
  auto behind = torch::ones({3});
  const auto pending = comm->start_all_reduce_sum(started);
  comm->all_reduce_sum(behind);
  EXPECT_TRUE(looked(3));
  EXPECT_EQ(fake_nccl::counts().ended, 0) << "NCCL's collectives have one order";
  fake_nccl::release();
  pending->wait();
  synchronize();
  EXPECT_EQ(fake_nccl::counts().ended, 2);
  EXPECT_TRUE(started.eq(comm->size()).all().item<bool>());
  EXPECT_TRUE(behind.eq(comm->size()).all().item<bool>());
}

TEST_F(NcclCollectivesTest, progress_is_left_when_the_device_is_past_a_collective_and_not_before) {
  const auto comm = make({.hold = 2});
  const auto before = progress.sequence();
  std::vector<torch::Tensor> ones;
  for (int i = 0; i < 3; ++i) comm->all_reduce_sum(ones.emplace_back(torch::ones({1})));
  EXPECT_EQ(progress.sequence(), before + 3);

  const auto left = [&](std::uint64_t number) {
    for (const auto& record : progress.log().records()) {
      if (record.sequence == before + number) return record.left > 0;
    }
    return false;
  };
  EXPECT_TRUE(until([&] { return left(1); }));
  EXPECT_TRUE(looked(3));
  EXPECT_TRUE(progress.inside());
  EXPECT_FALSE(left(2)) << "it is held up";
  EXPECT_FALSE(left(3)) << "it lies behind";
  EXPECT_TRUE(is_in("ncclAllReduce"));

  fake_nccl::release();
  EXPECT_TRUE(until([&] { return !progress.inside(); }));
  EXPECT_TRUE(left(2) && left(3));
}

TEST_F(NcclCollectivesTest, the_helper_thread_makes_the_device_its_own_too) {
  const auto comm = make();
  EXPECT_TRUE(until([&] { return device.made_current == 2; }));
}

TEST_F(NcclCollectivesTest, groups_of_ranks_have_communicators_of_their_own) {
  if (mpi.size() == 1) return;
  const auto world = make();
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, mpi.rank() / 2, mpi.rank(), &half);
  NcclCommunicator pair(torch::kCPU, std::make_unique<fake_nccl::HostStream>(device), half,
                        progress, 60);
  auto of_pair = torch::full({1}, mpi.rank(), torch::kInt64);
  pair.all_reduce_sum(of_pair);
  auto of_world = torch::ones({1}, torch::kInt64);
  world->all_reduce_sum(of_world);
  device.queue.synchronize();
  EXPECT_EQ(of_pair.item<std::int64_t>(), mpi.rank() / 2 * 4 + 1);
  EXPECT_EQ(of_world.item<std::int64_t>(), mpi.size());
  MPI_Comm_free(&half);
}

TEST_F(NcclCollectivesTest, unsuitable_tensors_are_refused_before_any_call) {
  const auto comm = make();
  auto strided = torch::ones({4, 4}).narrow(1, 0, 2);
  EXPECT_THROW(comm->all_reduce_sum(strided), c10::Error);
  auto bytes = torch::ones({4}, torch::kUInt8);
  EXPECT_THROW(comm->all_reduce_sum(bytes), c10::Error);
  EXPECT_FALSE(progress.inside());
  EXPECT_EQ(fake_nccl::counts().collectives, 0);
}

TEST_F(NcclCollectivesTest, closing_waits_for_the_stream_and_ends_the_communicator) {
  const auto comm = make({.hold = 1});
  auto one = torch::ones({1});
  comm->all_reduce_sum(one);
  bool seen = false;
  std::jthread other([&] {
    seen = until([&] { return is_in("ncclCommFinalize"); });
    fake_nccl::release();
  });
  comm->close();
  other.join();
  EXPECT_TRUE(seen);
  EXPECT_EQ(one.item<float>(), static_cast<float>(comm->size()));
  EXPECT_FALSE(progress.inside());
  const auto counts = fake_nccl::counts();
  EXPECT_EQ(counts.finalizes, 1);
  EXPECT_EQ(counts.destroys, 1);
  EXPECT_EQ(counts.aborts, 0);
  EXPECT_THROW(comm->all_reduce_sum(one), c10::Error);
  EXPECT_THROW(comm->close(), c10::Error);
}

}  // namespace
}  // namespace gondola
