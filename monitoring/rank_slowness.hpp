#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "trainer/step_report.hpp"

namespace gondola {

/// How slow each rank's own work is against that of the other ranks.
///
/// A rank's own work in a step is its data, inner and outer phases: computing before the gradient's
/// collective, without the waiting for other ranks, which those phases do not hold (PhaseTimer). On
/// each logged step it is divided by its lower median over the ranks (the smaller of the two middle
/// ones for an even number, so that of two ranks the faster is the measure). A rank's ratio is the
/// lower median of these quotients over the last kWindow logged steps: 1 is usual, 2 twice as slow,
/// and a single slow step does not show.
class RankSlowness {
 public:
  static constexpr std::size_t kWindow = 5;

  /// @param ranks a logged step's StepReport::rank_phase_seconds, always of as many ranks.
  void add(const std::vector<PhaseSeconds>& ranks);

  /// By rank; empty before the first step in which the median rank worked.
  [[nodiscard]] std::vector<double> ratios() const;

 private:
  std::deque<std::vector<double>> quotients_;  ///< Of the window's steps, by rank.
};

}  // namespace gondola
