#include "trainer/phase_timer.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <thread>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

using Clock = std::chrono::steady_clock;  // one for all processes of a machine

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// C10: a rank that computes for long shows it in its computing phase, the others in waiting,
/// though the collective that they meet in lies inside that phase, as batch norm's do.
TEST(PhaseTimer, a_slow_rank_shows_in_its_own_phase_and_as_waiting_on_the_others) {
  constexpr double kSlowSeconds = 0.4;
  CollectiveProgress progress;
  MpiCommunicator comm(MPI_COMM_WORLD, progress);
  PhaseTimer timer(progress);
  const int slow = comm.size() - 1;
  auto sum = torch::ones({4});
  comm.barrier();  // all start at the same time

  timer.enter(Phase::kInner);
  const auto begin = Clock::now();
  if (comm.rank() == slow) std::this_thread::sleep_for(std::chrono::duration<double>(kSlowSeconds));
  const auto came = Clock::now();
  comm.all_reduce_sum(sum);
  const auto left = Clock::now();
  timer.stop();

  auto last_came = torch::tensor(static_cast<std::int64_t>(came.time_since_epoch().count()));
  comm.broadcast(last_came, slow);
  const auto waited_from_here =
      seconds_between(came, Clock::time_point(Clock::duration(last_came.item<std::int64_t>())));
  const auto seconds = timer.take();
  const auto of = [&](Phase phase) { return seconds[static_cast<std::size_t>(phase)]; };
  EXPECT_GE(of(Phase::kInner), seconds_between(begin, came));
  EXPECT_LE(of(Phase::kWait), seconds_between(came, left));
  if (comm.rank() == slow) {
    EXPECT_GE(of(Phase::kInner), kSlowSeconds);
  } else {
    EXPECT_GE(of(Phase::kWait), waited_from_here - kSlowSeconds / 2);
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
