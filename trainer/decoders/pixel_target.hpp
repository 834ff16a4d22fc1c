#pragma once

#include <torch/types.h>

namespace gondola {

/// A part of a target as values of `dtype`: u8 pixels are divided by 255, values stay as they are.
/// Targets are converted tile by tile, so that an image need not lie in memory as values.
[[nodiscard]] inline torch::Tensor values_of(const torch::Tensor& target, torch::ScalarType dtype) {
  return target.scalar_type() == torch::kUInt8 ? target.to(dtype).div_(255) : target;
}

}  // namespace gondola
