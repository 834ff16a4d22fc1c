#pragma once

#include <chrono>

#include "trainer/step_report.hpp"

namespace gondola {

/// Adds up host seconds by phase. On a GPU work is queued, so a phase's seconds are those of
/// queueing unless the phase ends in a host synchronisation.
class PhaseTimer {
 public:
  using Clock = std::chrono::steady_clock;

  /// Time from here on belongs to `phase`, until the next call.
  void enter(Phase phase) {
    stop();
    current_ = phase;
    running_ = true;
  }
  void stop() {
    const auto now = Clock::now();
    if (running_) {
      seconds_[static_cast<std::size_t>(current_)] +=
          std::chrono::duration<double>(now - since_).count();
    }
    since_ = now;
    running_ = false;
  }

  /// Seconds by phase since the last call, which starts them from zero.
  [[nodiscard]] PhaseSeconds take() {
    const auto result = seconds_;
    seconds_ = {};
    return result;
  }

 private:
  PhaseSeconds seconds_{};
  Phase current_ = Phase::kData;
  bool running_ = false;
  Clock::time_point since_ = Clock::now();
};

}  // namespace gondola
