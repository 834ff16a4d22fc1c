#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/kernels/matrix_product.hpp"

namespace gondola {

/// How the patches of a layer lie on what it makes, and who makes them of float32 on a CPU.
struct ConvolutionOptions {
  std::int64_t stride = 2;
  std::int64_t padding = 1;
  MatrixProduct product = {};
};

/// at::conv_transpose2d without a bias. On the CPU, in float32 and float64, it is one product of
/// the pixels with the weight, a patch of output for each, and the patches are added up: ATen's
/// takes many times as long where an image has few channels. Its gradients are products as well,
/// with the patches of the gradient. Differentiable any number of times, by itself and
/// convolution(): ATen's own second derivatives take longer.
///
/// x [B, in, H, W], weight [in, out, k, k] -> [B, out, ...], channels last in memory.
[[nodiscard]] torch::Tensor transposed_convolution(const torch::Tensor& x,
                                                   const torch::Tensor& weight,
                                                   const ConvolutionOptions& options);

/// at::conv2d without a bias, which is the gradient of the above in x; likewise differentiable.
/// gradient [B, out, ...], of a size that the above makes -> [B, in, H, W]
[[nodiscard]] torch::Tensor convolution(const torch::Tensor& gradient, const torch::Tensor& weight,
                                        const ConvolutionOptions& options);

}  // namespace gondola
