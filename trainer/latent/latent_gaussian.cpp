#include "trainer/latent/latent_gaussian.hpp"

namespace gondola {

LatentGaussian::LatentGaussian(const torch::Tensor& latents) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(latents.size(0) >= 2, "a distribution is fitted to 2 latents or more, got ",
              latents.size(0));
  const auto rows = latents.to(torch::kCPU, torch::kFloat64).flatten(1);  // [N, d]
  mean_ = rows.mean(0);
  const auto centred = rows - mean_;
  covariance_ = centred.t().matmul(centred) / static_cast<double>(rows.size(0) - 1);
  const auto trace = covariance_.trace().item<double>() / static_cast<double>(rows.size(1));
  for (double jitter = 0; !cholesky_.defined(); jitter = jitter == 0 ? 1e-12 : 10 * jitter) {
    const auto identity = torch::eye(rows.size(1), torch::kFloat64);
    const double added = jitter * (trace > 0 ? trace : 1);
    const auto [factor, info] = at::linalg_cholesky_ex(covariance_ + added * identity);
    if (info.item<std::int32_t>() == 0) cholesky_ = factor;
    TORCH_CHECK(cholesky_.defined() || jitter < 1, "the latents' covariance has no factor");
  }
}

torch::Tensor LatentGaussian::draw(const torch::Tensor& normal) const {
  const auto rows = normal.to(torch::kCPU, torch::kFloat64).flatten(1);
  return (mean_ + rows.matmul(cholesky_.t())).view(normal.sizes()).to(normal.options());
}

torch::Tensor spherical_interpolation(const torch::Tensor& a, const torch::Tensor& b,
                                      const torch::Tensor& t) {
  const auto direction = [](const torch::Tensor& x) {
    return x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-300);
  };
  const auto cosine = (direction(a) * direction(b)).sum(1).clamp(-1, 1);
  const auto angle = cosine.acos().unsqueeze(1);  // [n, 1]
  const auto share = t.unsqueeze(1);
  const auto sine = angle.sin();
  const auto along = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / sine;
  return at::where(sine.abs() < 1e-6, (1 - share) * a + share * b, along);
}

LatentMoments moments_of(const torch::Tensor& latents) {
  const at::NoGradGuard no_grad;
  const auto rows = latents.to(torch::kCPU, torch::kFloat64).flatten(1);
  LatentMoments moments;
  moments.mean = rows.mean(0);
  const auto centred = rows - moments.mean;
  const auto variance = centred.square().mean(0);
  moments.stddev = variance.sqrt();
  const auto varies = variance > 0;
  const auto scaled = centred / at::where(varies, moments.stddev, torch::ones_like(variance));
  moments.skewness = scaled.pow(3).mean(0);
  moments.kurtosis = at::where(varies, scaled.pow(4).mean(0) - 3, torch::zeros_like(variance));
  return moments;
}

}  // namespace gondola
