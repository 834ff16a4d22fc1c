#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace gondola::fake_nccl {

/// What stands for a stream of a GPU: jobs done one after the other by a thread of its own. Its
/// address is the cudaStream_t. The destructor waits for all jobs.
class HostQueue {
 public:
  HostQueue();
  ~HostQueue();
  HostQueue(const HostQueue&) = delete;
  HostQueue& operator=(const HostQueue&) = delete;

  void push(std::function<void()> job);
  /// Waits until all that was pushed is done.
  void synchronize();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // the first is being done
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace gondola::fake_nccl
