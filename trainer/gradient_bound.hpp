#pragma once

#include <torch/types.h>

#include "trainer/checkpoint/training_state.hpp"

namespace gondola {

/// Tells a gradient that is far larger than usual. A norm g is within bounds while
///
///     g <= factor * m,      m <- m + (g - m) / min(n, 100)   at the n-th good step,
///
/// and any finite g is for the first 20 good steps. Lives on the device and never synchronises;
/// alike on all ranks, since the norms are.
class GradientBound {
 public:
  /// @param factor 0: whatever is finite is within bounds, and nothing is remembered.
  GradientBound(double factor, torch::Device device);

  /// @param norm 0-dim. 0-dim bool; false for what is not finite.
  [[nodiscard]] torch::Tensor holds(const torch::Tensor& norm) const;
  /// Takes the norm into account where `good` (0-dim bool).
  void add(const torch::Tensor& norm, const torch::Tensor& good);

  /// What is remembered, for checkpoints; waits for the device.
  [[nodiscard]] UsualNorm usual() const;
  void restore(const UsualNorm& usual);

 private:
  double factor_;
  torch::Tensor mean_;   ///< 0-dim float64.
  torch::Tensor steps_;  ///< 0-dim float64: good steps so far.
};

}  // namespace gondola
