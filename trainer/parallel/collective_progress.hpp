#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "trainer/parallel/collective_log.hpp"

namespace gondola {

/// From when the seconds inside a collective count: its own start, or, where it ends another one
/// that was not left, that one's.
enum class Since { kEntered, kOuterEntered };

/// What this rank's training thread is doing, for threads that only look (watchdog, /healthz).
/// Lock-free. A communicator brackets each collective with a CollectiveScope; one may run on the
/// GPU while the host is in another, so entering and leaving are counted.
class CollectiveProgress {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param name of the collective, text that stays. @param bytes of this rank's tensor.
  /// @return its number, for leave().
  std::uint64_t enter(const char* name, std::int64_t bytes,
                      Since since = Since::kEntered) noexcept {
    if (since == Since::kEntered || !inside()) {
      entered_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    }
    const auto sequence = sequence_.fetch_add(1, std::memory_order_release) + 1;
    log_.enter(sequence, name, bytes, step.load(), phase.load(std::memory_order_relaxed));
    depth_.fetch_add(1, std::memory_order_release);
    return sequence;
  }
  void leave(std::uint64_t sequence) noexcept {
    log_.leave(sequence);
    depth_.fetch_sub(1, std::memory_order_release);
  }

  /// The latest collectives.
  [[nodiscard]] const CollectiveLog& log() const noexcept { return log_; }

  /// Seconds that the training thread has spent in collectives of the host, all in all. For that
  /// thread only.
  [[nodiscard]] double host_seconds() const noexcept { return host_seconds_; }
  void add_host_seconds(double seconds) noexcept { host_seconds_ += seconds; }

  /// Work that only rank 0 does (pictures, a checkpoint) while the others wait in the next
  /// collective: adds to the allowance of that collective. Announced by all ranks at the same
  /// place.
  void allow_extra_seconds(double seconds) noexcept { extra_seconds_.store(seconds); }

  /// Collectives entered so far.
  [[nodiscard]] std::uint64_t sequence() const noexcept {
    return sequence_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool inside() const noexcept { return depth_.load(std::memory_order_acquire) > 0; }
  /// Seconds since the latest collective was entered, as its Since has it; 0 outside one.
  [[nodiscard]] double seconds_inside() const noexcept {
    if (!inside()) return 0.0;
    const Clock::duration since(Clock::now().time_since_epoch().count() -
                                entered_.load(std::memory_order_relaxed));
    return std::chrono::duration<double>(since).count();
  }
  [[nodiscard]] double extra_seconds() const noexcept { return extra_seconds_.load(); }

  /// The step being computed, for /healthz.
  std::atomic<std::int64_t> step{0};
  /// Of that step, by name; "" outside one.
  std::atomic<const char*> phase{""};

 private:
  std::atomic<std::uint64_t> sequence_{0};
  std::atomic<int> depth_{0};  // above 1: a host collective while one runs on the GPU
  std::atomic<Clock::rep> entered_{0};
  std::atomic<double> extra_seconds_{0.0};
  double host_seconds_ = 0.0;
  CollectiveLog log_;
};

/// One collective of the host, from entering to leaving it.
class CollectiveScope {
 public:
  CollectiveScope(CollectiveProgress& progress, const char* name, std::int64_t bytes = 0,
                  Since since = Since::kEntered)
      : progress_(progress),
        start_(CollectiveProgress::Clock::now()),
        sequence_(progress_.enter(name, bytes, since)) {}
  ~CollectiveScope() {
    progress_.leave(sequence_);
    progress_.add_host_seconds(
        std::chrono::duration<double>(CollectiveProgress::Clock::now() - start_).count());
  }
  CollectiveScope(const CollectiveScope&) = delete;
  CollectiveScope& operator=(const CollectiveScope&) = delete;

 private:
  CollectiveProgress& progress_;
  CollectiveProgress::Clock::time_point start_;
  std::uint64_t sequence_;
};

}  // namespace gondola
