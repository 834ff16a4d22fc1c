#pragma once

#include <torch/types.h>

namespace gondola {

/// Whether the loops and products of this folder take a tensor: on the CPU, float32 or float64.
[[nodiscard]] inline bool is_cpu_floats(const torch::Tensor& x) {
  return x.device().is_cpu() &&
         (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kFloat64);
}

}  // namespace gondola
