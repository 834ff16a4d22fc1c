#include "tests/parallel/fake_nccl/host_queue.hpp"

#include <utility>

namespace gondola::fake_nccl {

HostQueue::HostQueue() : thread_([this] { run(); }) {}

HostQueue::~HostQueue() {
  {
    const std::lock_guard held(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void HostQueue::push(std::function<void()> job) {
  {
    const std::lock_guard held(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void HostQueue::synchronize() {
  std::unique_lock held(mutex_);
  changed_.wait(held, [this] { return jobs_.empty(); });
}

void HostQueue::run() {
  std::unique_lock held(mutex_);
  while (true) {
    changed_.wait(held, [this] { return ending_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const auto job = jobs_.front();
    held.unlock();
    job();
    held.lock();
    jobs_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace gondola::fake_nccl
