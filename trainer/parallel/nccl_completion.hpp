#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/device_stream.hpp"

struct ncclComm;

namespace gondola {

/// Words for a wait that was given up.
inline constexpr const char* kPeersLate = "the peers did not come in time";

/// Follows the collectives that lie on a device's stream: a thread that only looks. It calls NCCL
/// and the device, never MPI; marks each collective as left once the device is past it; and notes
/// the first error, which the training thread is to find. The destructor ends the thread and marks
/// the rest as left. Present in builds with CUDA only.
class NcclCompletion {
 public:
  using Seconds = std::chrono::duration<double>;

  /// All of these must outlive this object.
  NcclCompletion(ncclComm* comm, const DeviceStream& stream, CollectiveProgress& progress);
  ~NcclCompletion();
  NcclCompletion(const NcclCompletion&) = delete;
  NcclCompletion& operator=(const NcclCompletion&) = delete;

  /// Held while the training thread calls NCCL, whose communicators serve one thread at a time.
  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  /// REQUIRES lock(). A collective is about to be put on the stream.
  void enter(const char* call, std::int64_t bytes);
  /// REQUIRES lock(). It was put there, in front of `mark`.
  void enqueued(std::unique_ptr<StreamMark> mark);
  /// REQUIRES lock(). What NCCL or the device reported since the start; empty: nothing.
  [[nodiscard]] const std::string& fault() const { return fault_; }

  /// Without lock(): waits until the device is past all collectives. Empty, or words for a fault or
  /// for `longest` having gone by.
  [[nodiscard]] std::string wait(Seconds longest);
  /// Without lock(): the same whatever the fault, which some collectives may still get past.
  void drain(Seconds longest);

 private:
  struct Entered {
    std::uint64_t sequence = 0;
    std::unique_ptr<StreamMark> mark;  // none: not on the stream
  };

  void run(const std::stop_token& stop);
  void look();
  void leave_passed();

  ncclComm* comm_;
  CollectiveProgress& progress_;
  std::mutex mutex_;
  std::deque<Entered> pending_;  // those that the device is not known to be past, in their order
  std::string fault_;
  std::jthread thread_;  // last: it looks at the rest
};

}  // namespace gondola
