#include "trainer/gradient_bound.hpp"

#include <ATen/core/grad_mode.h>

namespace gondola {
namespace {

constexpr double kFirstSteps = 20;  // that are good whatever their norm
constexpr double kMostSteps = 100;  // that the mean looks back on

}  // namespace

GradientBound::GradientBound(double factor, torch::Device device)
    : factor_(factor),
      mean_(torch::zeros({}, torch::TensorOptions(torch::kFloat64).device(device))),
      steps_(torch::zeros_like(mean_)) {}

torch::Tensor GradientBound::holds(const torch::Tensor& norm) const {
  const auto finite = at::isfinite(norm);
  if (factor_ == 0) return finite;
  return finite.logical_and(norm.le(mean_ * factor_).logical_or(steps_.lt(kFirstSteps)));
}

void GradientBound::add(const torch::Tensor& norm, const torch::Tensor& good) {
  if (factor_ == 0) return;
  const at::NoGradGuard no_grad;
  steps_.add_(good);
  const auto moved = mean_ + (norm - mean_) / steps_.clamp(1, kMostSteps);
  mean_.copy_(at::where(good, moved, mean_));
}

UsualNorm GradientBound::usual() const {
  return {.mean = mean_.item<double>(), .steps = static_cast<std::int64_t>(steps_.item<double>())};
}

void GradientBound::restore(const UsualNorm& usual) {
  mean_.fill_(usual.mean);
  steps_.fill_(static_cast<double>(usual.steps));
}

}  // namespace gondola
