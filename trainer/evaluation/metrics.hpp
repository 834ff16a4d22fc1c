#pragma once

#include <torch/types.h>

namespace gondola {

/// Peak signal-to-noise ratio of each image, -10 log10(mean squared error), for values in [0, 1]:
/// [B, C, H, W] x 2 -> [B].
[[nodiscard]] torch::Tensor psnr_per_image(const torch::Tensor& image, const torch::Tensor& target);

/// Structural similarity of each image (Wang et al. 2004): 11 x 11 Gaussian window of stddev 1.5, K
/// = 0.01 and 0.03, range 1, only whole windows, mean over pixels and channels; the window shrinks
/// to the largest odd side that fits a smaller image. [B, C, H, W] x 2 -> [B].
[[nodiscard]] torch::Tensor ssim_per_image(const torch::Tensor& image, const torch::Tensor& target);

}  // namespace gondola
