#pragma once

#include <ATen/core/grad_mode.h>

#include "trainer/checkpoint/training_state.hpp"

namespace gondola {

/// While it lives, the moving average of the weights is in the place of the weights, where there is
/// one.
class AverageInUse {
 public:
  explicit AverageInUse(TrainingState& state) : state_(state) { swap(); }
  ~AverageInUse() { swap(); }
  AverageInUse(const AverageInUse&) = delete;
  AverageInUse& operator=(const AverageInUse&) = delete;

 private:
  void swap() {
    if (!state_.average.defined()) return;
    const at::NoGradGuard no_grad;
    auto& weights = state_.decoder.parameters().flat();
    const auto kept = weights.clone();
    weights.copy_(state_.average);
    state_.average.copy_(kept);
  }
  TrainingState& state_;
};

}  // namespace gondola
