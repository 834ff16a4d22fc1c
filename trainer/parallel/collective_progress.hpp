#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace gondola {

/// What this rank's training thread is doing, for threads that only look (watchdog, /healthz).
/// Lock-free. A communicator brackets each collective with a CollectiveScope; one may run on the
/// GPU while the host is in another, so entering and leaving are counted.
class CollectiveProgress {
 public:
  using Clock = std::chrono::steady_clock;

  void enter() noexcept {
    entered_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    sequence_.fetch_add(1, std::memory_order_release);
    depth_.fetch_add(1, std::memory_order_release);
  }
  void leave() noexcept { depth_.fetch_sub(1, std::memory_order_release); }

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
  /// Seconds since the latest collective was entered; 0 outside one.
  [[nodiscard]] double seconds_inside() const noexcept {
    if (!inside()) return 0.0;
    const Clock::duration since(Clock::now().time_since_epoch().count() -
                                entered_.load(std::memory_order_relaxed));
    return std::chrono::duration<double>(since).count();
  }
  [[nodiscard]] double extra_seconds() const noexcept { return extra_seconds_.load(); }

  /// The step being computed, for /healthz.
  std::atomic<std::int64_t> step{0};

 private:
  std::atomic<std::uint64_t> sequence_{0};
  std::atomic<int> depth_{0};  // above 1: a host collective while one runs on the GPU
  std::atomic<Clock::rep> entered_{0};
  std::atomic<double> extra_seconds_{0.0};
  double host_seconds_ = 0.0;
};

/// One collective of the host, from entering to leaving it.
class CollectiveScope {
 public:
  explicit CollectiveScope(CollectiveProgress& progress)
      : progress_(progress), start_(CollectiveProgress::Clock::now()) {
    progress_.enter();
  }
  ~CollectiveScope() {
    progress_.leave();
    progress_.add_host_seconds(
        std::chrono::duration<double>(CollectiveProgress::Clock::now() - start_).count());
  }
  CollectiveScope(const CollectiveScope&) = delete;
  CollectiveScope& operator=(const CollectiveScope&) = delete;

 private:
  CollectiveProgress& progress_;
  CollectiveProgress::Clock::time_point start_;
};

}  // namespace gondola
