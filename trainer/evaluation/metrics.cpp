#include "trainer/evaluation/metrics.hpp"

#include <algorithm>

namespace gondola {
namespace {

/// A normalised Gaussian of odd length. [size]
torch::Tensor gaussian(std::int64_t size, const torch::TensorOptions& options) {
  constexpr double kStddev = 1.5;
  const auto x = torch::arange(size, options) - static_cast<double>(size - 1) / 2;
  const auto g = at::exp(-x.square() / (2 * kStddev * kStddev));
  return g / g.sum();
}

/// Local means under a separable window, each channel by itself: [B, C, H, W] -> [B, C, H', W'].
torch::Tensor smooth(const torch::Tensor& image, const torch::Tensor& rows,
                     const torch::Tensor& columns) {
  const auto flat = image.reshape({image.size(0) * image.size(1), 1, image.size(2), image.size(3)});
  return at::conv2d(at::conv2d(flat, rows.view({1, 1, -1, 1})), columns.view({1, 1, 1, -1}));
}

std::int64_t window_side(std::int64_t side) {
  return std::min<std::int64_t>(11, side % 2 == 0 ? side - 1 : side);
}

}  // namespace

torch::Tensor psnr_per_image(const torch::Tensor& image, const torch::Tensor& target) {
  const auto error = (image - target).square().flatten(1).mean(1);
  return -10 * at::log10(error);
}

torch::Tensor ssim_per_image(const torch::Tensor& image, const torch::Tensor& target) {
  constexpr double kC1 = 0.01 * 0.01;
  constexpr double kC2 = 0.03 * 0.03;
  const auto rows = gaussian(window_side(image.size(2)), image.options());
  const auto columns = gaussian(window_side(image.size(3)), image.options());
  const auto mean = [&](const torch::Tensor& x) { return smooth(x, rows, columns); };
  const auto a = mean(image);
  const auto b = mean(target);
  const auto variances = mean(image.square()) - a.square() + mean(target.square()) - b.square();
  const auto covariance = mean(image * target) - a * b;
  const auto similarity = ((2 * a * b + kC1) * (2 * covariance + kC2)) /
                          ((a.square() + b.square() + kC1) * (variances + kC2));
  return similarity.reshape({image.size(0), -1}).mean(1);
}

}  // namespace gondola
