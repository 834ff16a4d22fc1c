#include "launch/stop_signal.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace gondola {
namespace {

/// Installs the handlers, raises the signals and leaves with 10 more than the flag, or dies.
[[noreturn]] void exit_with_flag_after(std::initializer_list<int> signals) {
  install_stop_signals();
  for (const int signal : signals) std::raise(signal);
  std::_Exit(10 + (stop_requested() ? 1 : 0));
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

TEST_F(StopSignalDeathTest, under_mpirun_int_is_left_alone) {
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  EXPECT_EXIT(exit_with_flag_after({SIGINT}), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace gondola
