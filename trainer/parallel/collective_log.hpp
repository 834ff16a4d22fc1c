#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gondola {

/// One collective as one rank saw it.
struct CollectiveRecord {
  std::uint64_t sequence = 0;  ///< Counted from 1, the same on all ranks.
  const char* name = "";       ///< "all_reduce_sum"
  std::int64_t bytes = 0;      ///< Of this rank's tensor.
  std::int64_t step = 0;       ///< Being computed.
  const char* phase = "";      ///< Of the step; "" outside one.
  double entered = 0;          ///< Seconds since 1970.
  double left = 0;             ///< Likewise; 0: not left.
};

/// The latest collectives of a rank, in memory. The training thread writes, any thread reads,
/// without locks: a record that is written at the same moment may come out mixed.
class CollectiveLog {
 public:
  static constexpr std::size_t kRecords = 256;

  void enter(std::uint64_t sequence, const char* name, std::int64_t bytes, std::int64_t step,
             const char* phase) noexcept {
    auto& slot = slots_[sequence % kRecords];
    slot.name.store(name, std::memory_order_relaxed);
    slot.bytes.store(bytes, std::memory_order_relaxed);
    slot.step.store(step, std::memory_order_relaxed);
    slot.phase.store(phase, std::memory_order_relaxed);
    slot.left.store(0, std::memory_order_relaxed);
    slot.entered.store(now(), std::memory_order_relaxed);
    slot.sequence.store(sequence, std::memory_order_release);
  }
  void leave(std::uint64_t sequence) noexcept {
    auto& slot = slots_[sequence % kRecords];
    if (slot.sequence.load(std::memory_order_relaxed) == sequence) {
      slot.left.store(now(), std::memory_order_release);
    }
  }

  /// In the order of their sequence.
  [[nodiscard]] std::vector<CollectiveRecord> records() const;

 private:
  static double now() noexcept {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  struct Slot {
    std::atomic<std::uint64_t> sequence{0};
    std::atomic<const char*> name{""};
    std::atomic<std::int64_t> bytes{0};
    std::atomic<std::int64_t> step{0};
    std::atomic<const char*> phase{""};
    std::atomic<double> entered{0};
    std::atomic<double> left{0};
  };
  std::array<Slot, kRecords> slots_{};
};

}  // namespace gondola
