#include "launch/stop_signal.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <thread>

namespace gondola {
namespace {

bool stop_comes() {
  const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!stop_requested() && std::chrono::steady_clock::now() < last) std::this_thread::yield();
  return stop_requested();
}

/// Installs the handlers, sends the signals one after the other, and leaves with 10 more than the
/// flag, or dies.
[[noreturn]] void exit_with_flag_after(std::initializer_list<int> signals) {
  install_stop_signals();
  for (const int signal : signals) {
    ::kill(::getpid(), signal);
    (void)stop_comes();
  }
  std::_Exit(10 + (stop_requested() ? 1 : 0));
}

/// Leaves with 20 more than the number of stop signals that may interrupt this thread, or one that
/// it starts.
[[noreturn]] void exit_with_interruptions() {
  install_stop_signals();
  int open = 0;
  const auto look = [&open] {
    sigset_t blocked;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    for (const int signal : {SIGUSR1, SIGTERM, SIGINT})
      open += ::sigismember(&blocked, signal) == 0;
  };
  look();
  std::thread(look).join();
  std::_Exit(20 + open);
}

// Each in a process of its own: the flag has no way back.
class StopSignalDeathTest : public testing::Test {
 protected:
  void SetUp() override { ::unsetenv("OMPI_COMM_WORLD_SIZE"); }
};

TEST_F(StopSignalDeathTest, without_a_signal_no_stop_is_requested) {
  EXPECT_EXIT(exit_with_flag_after({}), testing::ExitedWithCode(10), "");
}

TEST_F(StopSignalDeathTest, usr1_and_term_request_a_stop_however_often_they_come) {
  EXPECT_EXIT(exit_with_flag_after({SIGUSR1}), testing::ExitedWithCode(11), "");
  EXPECT_EXIT(exit_with_flag_after({SIGTERM}), testing::ExitedWithCode(11), "");
  EXPECT_EXIT(exit_with_flag_after({SIGTERM, SIGUSR1, SIGTERM}), testing::ExitedWithCode(11), "");
}

TEST_F(StopSignalDeathTest, the_first_int_requests_a_stop_and_the_second_ends_the_process) {
  EXPECT_EXIT(exit_with_flag_after({SIGINT}), testing::ExitedWithCode(11), "");
  EXPECT_EXIT(exit_with_flag_after({SIGINT, SIGINT}), testing::KilledBySignal(SIGINT), "");
}

TEST_F(StopSignalDeathTest, no_thread_that_computes_is_interrupted) {
  EXPECT_EXIT(exit_with_interruptions(), testing::ExitedWithCode(20), "");
}

TEST_F(StopSignalDeathTest, under_mpirun_int_is_left_alone) {
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  EXPECT_EXIT(exit_with_flag_after({SIGINT}), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace gondola
