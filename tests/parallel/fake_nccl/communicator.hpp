#pragma once

#include <nccl.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "tests/parallel/fake_nccl/control.hpp"
#include "tests/parallel/fake_nccl/host_queue.hpp"
#include "tests/parallel/fake_nccl/mesh.hpp"

/// A communicator of the fake: what one rank holds.
struct ncclComm : std::enable_shared_from_this<ncclComm> {
  using Job = std::function<void(gondola::fake_nccl::Mesh&)>;

  ncclComm(const gondola::fake_nccl::Plan& its_plan, int its_rank, int its_size)
      : plan(its_plan), rank(its_rank), size(its_size), mesh_(its_rank, its_size) {}

  /// Starts to connect. @param listener rank 0's
  void start(const std::string& name, int listener);
  /// Whether it is ready, in progress or broken. A collective goes to its queue at the second such
  /// question after its call, as NCCL's own thread would put it there some time later.
  ncclResult_t poll();
  /// A collective is called.
  ncclResult_t launch(gondola::fake_nccl::HostQueue& queue, std::size_t bytes, Job job);
  ncclResult_t finalize();
  void raise(ncclResult_t error);
  void release();
  void release_abort();
  /// Ends what is under way. Returns the number of collectives that it cut off.
  std::int64_t abort();
  /// Waits where the plan says so.
  void wait_in_abort();

  const gondola::fake_nccl::Plan plan;
  const int rank;
  const int size;
  std::atomic<int> calls_inside{0};

 private:
  void carry_out(std::int64_t number, std::size_t bytes, const Job& job);
  void enqueue();

  std::mutex mutex_;
  std::condition_variable changed_;
  ncclResult_t state_ = ncclInProgress;
  bool released_ = false;
  bool abort_released_ = false;
  bool aborted_ = false;
  bool finalizing_ = false;
  std::int64_t launched_ = 0;
  std::int64_t unfinished_ = 0;  // on the queue
  int polls_to_go_ = 0;          // until the one called last goes to its queue
  std::function<void()> to_enqueue_;
  gondola::fake_nccl::Mesh mesh_;
  std::jthread connecting_;
};

namespace gondola::fake_nccl {

/// How long bytes are on the way by the link's rate.
[[nodiscard]] std::chrono::duration<double> link_time(std::size_t bytes);

/// Adds to one of the counts.
void count(std::int64_t Counts::*which, std::int64_t by = 1);

}  // namespace gondola::fake_nccl
