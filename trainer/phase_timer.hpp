#pragma once

#include <chrono>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// Adds up host seconds by phase. Time that a computing phase spends in host collectives (batch
/// norm's, say) is waiting for other ranks, and counted as such: what is left is this rank's own
/// work, which names the slow rank (C10). On a GPU work is queued, so a phase's seconds are those
/// of queueing unless the phase ends in a host synchronisation.
class PhaseTimer {
 public:
  using Clock = std::chrono::steady_clock;

  /// `progress`, of the communicators that are used, must outlive this object.
  explicit PhaseTimer(CollectiveProgress& progress) : progress_(progress) {}

  /// Time from here on belongs to `phase`, until the next call.
  void enter(Phase phase) {
    stop();
    current_ = phase;
    running_ = true;
    progress_.phase.store(kPhaseNames[static_cast<std::size_t>(phase)]);
  }
  void stop() {
    const auto now = Clock::now();
    const auto in_collectives = progress_.host_seconds();
    if (running_) {
      const auto waited = computes(current_) ? in_collectives - in_collectives_since_ : 0.0;
      of(current_) += std::chrono::duration<double>(now - since_).count() - waited;
      of(Phase::kWait) += waited;
    }
    since_ = now;
    in_collectives_since_ = in_collectives;
    running_ = false;
    progress_.phase.store("");
  }

  /// Seconds by phase since the last call, which starts them from zero.
  [[nodiscard]] PhaseSeconds take() {
    const auto result = seconds_;
    seconds_ = {};
    return result;
  }

 private:
  static bool computes(Phase phase) {
    return phase == Phase::kData || phase == Phase::kInner || phase == Phase::kOuter ||
           phase == Phase::kOptimizer;
  }
  double& of(Phase phase) { return seconds_[static_cast<std::size_t>(phase)]; }

  CollectiveProgress& progress_;
  PhaseSeconds seconds_{};
  Phase current_ = Phase::kData;
  bool running_ = false;
  Clock::time_point since_ = Clock::now();
  double in_collectives_since_ = 0;
};

}  // namespace gondola
