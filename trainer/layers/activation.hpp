#pragma once

#include <torch/types.h>

#include "configs/run_config.hpp"

namespace gondola {

/// An elementwise non-linearity f with the derivative that ATen's autograd uses.
///
/// backward() is ATen's own backward operator, so that f''(0) at a kink has one value in the
/// program, whichever path differentiates twice (ELU: f''(0) = 0).
class Activation {
 public:
  explicit Activation(ActivationKind kind, double leaky_slope = 0.01)
      : kind_(kind), leaky_slope_(leaky_slope) {}

  /// x of any shape -> f(x).
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& x) const;
  /// gradient * f'(x), itself differentiable in both; the shapes must match.
  [[nodiscard]] torch::Tensor backward(const torch::Tensor& gradient, const torch::Tensor& x) const;

  [[nodiscard]] ActivationKind kind() const { return kind_; }

 private:
  ActivationKind kind_;
  double leaky_slope_;
};

}  // namespace gondola
