#pragma once

#include <torch/types.h>

#include <cmath>

namespace gondola {

/// max|a - b| / max|b|, in float64; 0 where they are equal, infinite where a value is not a number
/// or shapes differ.
inline double relative_error(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.sizes() != b.sizes()) return INFINITY;
  if (b.numel() == 0) return 0;
  const auto difference =
      (a.detach().to(torch::kFloat64) - b.detach().to(torch::kFloat64)).abs().max().item<double>();
  if (difference == 0) return 0;
  const auto error = difference / b.detach().abs().max().item<double>();
  return std::isfinite(error) ? error : INFINITY;
}

}  // namespace gondola
