#include "tests/parallel/fake_nccl/communicator.hpp"

#include <utility>

using namespace gondola::fake_nccl;

void ncclComm::start(const std::string& name, int listener) {
  if (plan.init == Init::kNeverReady) return;
  connecting_ = std::jthread([this, name, listener] {
    auto state = ncclSuccess;
    try {
      if (!mesh_.connect(name, listener)) return;
    } catch (const PeerGone&) {
      state = ncclRemoteError;
    }
    if (plan.init == Init::kFails) state = plan.error;
    const std::lock_guard held(mutex_);
    if (state_ == ncclInProgress) state_ = state;
  });
}

ncclResult_t ncclComm::poll() {
  const std::lock_guard held(mutex_);
  if (state_ != ncclSuccess) return state_;
  if (to_enqueue_ && --polls_to_go_ == 0) enqueue();
  const bool flushing = finalizing_ && (plan.hold_finalize || unfinished_ > 0);
  return to_enqueue_ || flushing ? ncclInProgress : ncclSuccess;
}

void ncclComm::enqueue() { std::exchange(to_enqueue_, nullptr)(); }

ncclResult_t ncclComm::launch(HostQueue& queue, std::size_t bytes, Job job) {
  count(&Counts::called);
  const std::lock_guard held(mutex_);
  if (state_ == ncclInProgress || to_enqueue_) return ncclInvalidUsage;
  if (state_ != ncclSuccess) return state_;
  const auto number = ++launched_;
  if (number == plan.refuse) return plan.error;
  to_enqueue_ = [this, &queue, number, bytes, job = std::move(job)] {
    ++unfinished_;
    count(&Counts::collectives);
    queue.push(
        [self = shared_from_this(), number, bytes, job] { self->carry_out(number, bytes, job); });
  };
  polls_to_go_ = 2;
  return ncclInProgress;
}

void ncclComm::carry_out(std::int64_t number, std::size_t bytes, const Job& job) {
  std::this_thread::sleep_for(plan.delay + link_time(bytes));
  auto error = ncclSuccess;
  {
    std::unique_lock held(mutex_);
    const bool holds = number == plan.hold || static_cast<std::int64_t>(bytes) == plan.hold_bytes;
    if (holds) changed_.wait(held, [this] { return released_ || aborted_; });
    if (aborted_) return;
    if (number == plan.fail) error = plan.error;
  }
  if (error == ncclSuccess) {
    try {
      job(mesh_);
    } catch (const PeerGone&) {
      error = ncclRemoteError;
    }
  }
  std::unique_lock held(mutex_);
  if (error != ncclSuccess) {
    if (state_ == ncclSuccess) state_ = error;
    changed_.wait(held, [this] { return aborted_; });  // as a kernel that waits for its peers
    return;
  }
  if (aborted_) return;
  --unfinished_;
  count(&Counts::ended);
}

ncclResult_t ncclComm::finalize() {
  const std::lock_guard held(mutex_);
  if (state_ != ncclSuccess) return state_;
  finalizing_ = true;
  return ncclInProgress;
}

void ncclComm::raise(ncclResult_t error) {
  const std::lock_guard held(mutex_);
  state_ = error;
}

void ncclComm::release() {
  const std::lock_guard held(mutex_);
  released_ = true;
  changed_.notify_all();
}

void ncclComm::release_abort() {
  const std::lock_guard held(mutex_);
  abort_released_ = true;
  changed_.notify_all();
}

void ncclComm::wait_in_abort() {
  std::unique_lock held(mutex_);
  changed_.wait(held, [this] { return !plan.hold_abort || abort_released_; });
}

std::int64_t ncclComm::abort() {
  mesh_.end();
  const std::lock_guard held(mutex_);
  aborted_ = true;
  changed_.notify_all();
  return std::exchange(unfinished_, 0);
}
