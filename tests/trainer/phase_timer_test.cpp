#include "trainer/phase_timer.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <thread>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

/// C10: a rank that computes for long shows it in its computing phase, the others in waiting,
/// though the collective that they meet in lies inside that phase, as batch norm's do.
TEST(PhaseTimer, a_slow_rank_shows_in_its_own_phase_and_as_waiting_on_the_others) {
  constexpr double kSlowSeconds = 0.4;
  CollectiveProgress progress;
  MpiCommunicator comm(MPI_COMM_WORLD, progress);
  PhaseTimer timer(progress);
  const int slow = comm.size() - 1;
  comm.barrier();  // all start at the same time

  timer.enter(Phase::kInner);
  if (comm.rank() == slow) std::this_thread::sleep_for(std::chrono::duration<double>(kSlowSeconds));
  auto sum = torch::ones({4});
  comm.all_reduce_sum(sum);
  timer.stop();

  const auto seconds = timer.take();
  const auto of = [&](Phase phase) { return seconds[static_cast<std::size_t>(phase)]; };
  if (comm.rank() == slow) {
    EXPECT_GE(of(Phase::kInner), kSlowSeconds);
  } else {
    EXPECT_GE(of(Phase::kWait), kSlowSeconds / 2);
    EXPECT_LT(of(Phase::kInner), kSlowSeconds / 2);
  }
  comm.close();
}

TEST(PhaseTimer, a_collective_is_left_in_a_phase_that_is_one_itself) {
  CollectiveProgress progress;
  PhaseTimer timer(progress);
  timer.enter(Phase::kAllReduce);
  progress.add_host_seconds(100);
  timer.enter(Phase::kEval);
  progress.add_host_seconds(100);
  timer.stop();
  EXPECT_EQ(timer.take()[static_cast<std::size_t>(Phase::kWait)], 0);
}

}  // namespace
}  // namespace gondola
