#pragma once

#include <torch/types.h>

#include <cstdint>

namespace gondola {

/// at::conv_transpose2d without a bias. On the CPU, in float32 and float64, it is one product of
/// the pixels with the weight, a patch of output for each, and the patches are added up: ATen's
/// takes up to twenty times as long where an image has few channels. Differentiable any number of
/// times.
///
/// x [B, in, H, W], weight [in, out, k, k] -> [B, out, ...], channels last in memory.
[[nodiscard]] torch::Tensor transposed_convolution(const torch::Tensor& x,
                                                   const torch::Tensor& weight, std::int64_t stride,
                                                   std::int64_t padding);

}  // namespace gondola
