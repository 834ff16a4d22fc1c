#include "trainer/parallel/collective_log.hpp"

#include <algorithm>

namespace gondola {

std::vector<CollectiveRecord> CollectiveLog::records() const {
  std::vector<CollectiveRecord> records;
  for (const auto& slot : slots_) {
    const auto sequence = slot.sequence.load(std::memory_order_acquire);
    if (sequence == 0) continue;
    records.push_back({.sequence = sequence,
                       .name = slot.name.load(std::memory_order_relaxed),
                       .bytes = slot.bytes.load(std::memory_order_relaxed),
                       .step = slot.step.load(std::memory_order_relaxed),
                       .phase = slot.phase.load(std::memory_order_relaxed),
                       .entered = slot.entered.load(std::memory_order_relaxed),
                       .left = slot.left.load(std::memory_order_relaxed)});
  }
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  return records;
}

}  // namespace gondola
