// What NcclCommunicator makes of errors and hangs, over a fake NCCL on the host.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "tests/parallel/nccl_fixture.hpp"

namespace gondola {
namespace {

using fake_nccl::Init;
using testing::AllOf;
using testing::HasSubstr;

/// Under this timeout what is under way gets a second to end before an abort.
constexpr double kTimeoutSeconds = 10;

class NcclFaultsTest : public NcclOnHost {
 protected:
  /// The words of the CommError that `call` throws.
  template <typename Call>
  static std::string complaint(const Call& call) {
    try {
      call();
      return "nothing was thrown";
    } catch (const CommError& error) {
      return error.what();
    }
  }

  /// All-reduces until that throws, up to a minute.
  std::string complaint_of_the_next_calls(NcclCommunicator& comm) {
    return complaint([&] {
      until([&] {
        comm.all_reduce_sum(tensors.emplace_back(torch::ones({1})));
        return false;
      });
    });
  }

  std::vector<torch::Tensor> tensors;  // what lies on the stream
};

TEST_F(NcclFaultsTest, an_error_of_one_rank_is_thrown_by_the_next_call_of_all) {
  const auto comm = make({.error = ncclSystemError, .fail = last_rank ? 3 : 0}, kTimeoutSeconds);
  const auto sentence = complaint_of_the_next_calls(*comm);
  EXPECT_THAT(sentence, AllOf(HasSubstr("ncclAllReduce failed on cpu with \""),
                              HasSubstr(last_rank ? "unhandled system error"
                                                  : "remote process exited or there was a network"),
                              HasSubstr("restart from the last checkpoint")));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
  EXPECT_EQ(fake_nccl::counts().finalizes, 0);
  EXPECT_FALSE(progress.inside());
  auto one = torch::ones({1});
  EXPECT_THROW(comm->all_reduce_sum(one), c10::Error) << "nothing is started after an abort";
}

TEST_F(NcclFaultsTest, a_barrier_that_waits_for_a_failed_collective_throws) {
  const auto comm = make({.fail = 1}, kTimeoutSeconds);
  EXPECT_THAT(complaint([&] { comm->barrier(); }), HasSubstr("unhandled system error"));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
}

TEST_F(NcclFaultsTest, an_error_of_a_started_sum_is_thrown_by_a_barrier_behind_it) {
  const auto comm = make({.error = ncclSystemError, .fail = last_rank ? 1 : 0}, kTimeoutSeconds);
  auto& values = tensors.emplace_back(torch::ones({1000}));
  const auto pending = comm->start_all_reduce_sum(values);
  pending->wait();
  EXPECT_THAT(complaint([&] { comm->barrier(); }),
              AllOf(HasSubstr("ncclAllReduce failed on cpu with \""),
                    HasSubstr("restart from the last checkpoint")));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
  EXPECT_FALSE(progress.inside());
}

TEST_F(NcclFaultsTest, a_started_sum_that_never_ends_is_seen_by_the_watchdog_and_aborted) {
  const auto comm = make({.hold = 1}, kTimeoutSeconds);
  auto& values = tensors.emplace_back(torch::ones({1000}));
  const auto pending = comm->start_all_reduce_sum(values);
  pending->wait();
  EXPECT_TRUE(looked(3));
  EXPECT_TRUE(is_in("ncclAllReduce"));
  EXPECT_EQ(latest().bytes, 4000);
  fake_nccl::raise(ncclRemoteError);
  EXPECT_THAT(complaint([&] { comm->barrier(); }), HasSubstr("network error"));
  EXPECT_EQ(fake_nccl::counts().unfinished_at_abort, 1);
  EXPECT_FALSE(progress.inside());
}

TEST_F(NcclFaultsTest, a_call_that_nccl_refuses_throws_at_once) {
  const auto comm = make({.refuse = 1}, kTimeoutSeconds);
  auto values = torch::ones({2});
  EXPECT_THAT(complaint([&] { comm->broadcast(values, 0); }),
              AllOf(HasSubstr("ncclBroadcast failed on cpu"), HasSubstr("unhandled system error")));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
  EXPECT_FALSE(progress.inside());
}

TEST_F(NcclFaultsTest, a_fault_of_the_device_is_thrown_by_the_next_call) {
  const auto comm = make({.hold = 1}, kTimeoutSeconds);
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  device.broken = true;
  EXPECT_THAT(complaint_of_the_next_calls(*comm), HasSubstr("the device fell off the bus"));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
}

TEST_F(NcclFaultsTest, after_an_error_nothing_is_put_on_the_stream) {
  const auto comm = make({.hold = 1}, kTimeoutSeconds);
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  fake_nccl::raise(ncclRemoteError);
  ASSERT_TRUE(looked(1));
  auto one = torch::ones({1});
  EXPECT_THAT(complaint([&] { comm->all_reduce_sum(one); }), HasSubstr("network error"));
  EXPECT_EQ(fake_nccl::counts().called, 1);
}

TEST_F(NcclFaultsTest, what_is_under_way_may_end_before_the_abort) {
  const auto comm = make({.hold = 1}, /*timeout_seconds=*/600);
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  fake_nccl::raise(ncclSystemError);
  std::jthread other([&] {
    until([&] { return is_in("ncclCommAbort"); });
    fake_nccl::release();
  });
  EXPECT_THAT(complaint([&] { comm->barrier(); }), HasSubstr("unhandled system error"));
  other.join();
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
  EXPECT_EQ(fake_nccl::counts().unfinished_at_abort, 0);
}

TEST_F(NcclFaultsTest, what_never_ends_is_aborted) {
  const auto comm = make({.hold = 1}, kTimeoutSeconds);
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  fake_nccl::raise(ncclSystemError);
  EXPECT_THAT(complaint([&] { comm->barrier(); }), HasSubstr("unhandled system error"));
  EXPECT_EQ(fake_nccl::counts().unfinished_at_abort, 1);
}

TEST_F(NcclFaultsTest, an_abort_that_hangs_is_seen_by_the_watchdog) {
  const auto comm = make({.fail = 1, .hold_abort = true}, kTimeoutSeconds);
  bool seen = false;
  std::jthread other([&] {
    seen = until([&] { return fake_nccl::counts().aborts == 1 && is_in("ncclCommAbort"); });
    fake_nccl::release_abort();
  });
  EXPECT_THAT(complaint([&] { comm->barrier(); }), HasSubstr("unhandled system error"));
  other.join();
  EXPECT_TRUE(seen);
  EXPECT_FALSE(progress.inside());
}

TEST_F(NcclFaultsTest, an_abort_has_what_is_left_of_the_time_of_the_collective_it_ends) {
  const auto comm = make({.hold = 1, .hold_abort = true}, kTimeoutSeconds);
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  fake_nccl::raise(ncclSystemError);
  ASSERT_TRUE(looked(1));
  double seconds = 0;
  std::jthread other([&] {
    if (until([&] { return fake_nccl::counts().aborts == 1 && is_in("ncclCommAbort"); })) {
      seconds = progress.seconds_inside();
    }
    fake_nccl::release_abort();
  });
  EXPECT_THAT(complaint_of_the_next_calls(*comm), HasSubstr("unhandled system error"));
  other.join();
  EXPECT_GE(seconds, 1.5) << "half a second before the error, and one to drain";
}

TEST_F(NcclFaultsTest, a_start_for_which_a_peer_does_not_come_is_given_up) {
  const auto start = std::chrono::steady_clock::now();
  const auto sentence = complaint([&] {
    static_cast<void>(make({.init = last_rank ? Init::kNeverReady : Init::kReady}, 0.5));
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_THAT(sentence, HasSubstr("ncclCommInitRankConfig failed on cpu with \""));
  if (mpi.rank() == 0 || last_rank) {  // the others may find rank 0 gone
    EXPECT_THAT(sentence, HasSubstr("\"the peers did not come in time\""));
    EXPECT_GE(took.count(), 0.5);
  }
  EXPECT_LE(took.count(), 30);
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
  EXPECT_FALSE(progress.inside());
}

TEST_F(NcclFaultsTest, a_start_that_hangs_is_seen_by_the_watchdog) {
  bool seen = false;
  std::jthread other([&] { seen = until([&] { return is_in("ncclCommInitRank"); }); });
  EXPECT_THAT(complaint([&] { static_cast<void>(make({.init = Init::kNeverReady}, 1.0)); }),
              HasSubstr("did not come in time"));
  other.join();
  EXPECT_TRUE(seen);
}

TEST_F(NcclFaultsTest, a_start_that_fails_throws) {
  EXPECT_THAT(complaint([&] { static_cast<void>(make({.init = Init::kFails})); }),
              AllOf(HasSubstr("ncclCommInitRankConfig"), HasSubstr("unhandled system error")));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
}

TEST_F(NcclFaultsTest, a_start_that_is_refused_throws_and_leaves_nothing_to_abort) {
  EXPECT_THAT(complaint([&] { static_cast<void>(make({.init = Init::kRefused})); }),
              AllOf(HasSubstr("ncclCommInitRankConfig"), HasSubstr("unhandled system error")));
  EXPECT_EQ(fake_nccl::counts().aborts, 0);
}

TEST_F(NcclFaultsTest, an_end_that_takes_too_long_is_given_up) {
  const auto comm = make({.hold_finalize = true}, 5.0);
  EXPECT_THAT(complaint([&] { comm->close(); }),
              HasSubstr("ncclCommFinalize failed on cpu with \"the peers did not come in time\""));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
}

TEST_F(NcclFaultsTest, closing_after_an_error_throws_it) {
  const auto comm = make({.fail = 1}, kTimeoutSeconds);
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  EXPECT_THAT(complaint([&] { comm->close(); }),
              AllOf(HasSubstr("ncclCommFinalize"), HasSubstr("unhandled system error")));
  EXPECT_EQ(fake_nccl::counts().aborts, 1);
  EXPECT_EQ(fake_nccl::counts().destroys, 0);
}

TEST_F(NcclFaultsTest, the_destructor_waits_for_no_peer) {
  auto comm = make({.hold = 1});
  comm->all_reduce_sum(tensors.emplace_back(torch::ones({1})));
  comm.reset();
  const auto counts = fake_nccl::counts();
  EXPECT_EQ(counts.ended, 0);
  EXPECT_EQ(counts.aborts + counts.finalizes + counts.destroys, 0);
  EXPECT_FALSE(progress.inside());
}

}  // namespace
}  // namespace gondola
