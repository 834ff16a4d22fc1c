#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace gondola {

/// A normal distribution with full covariance fitted to latents: the prior that models without one
/// of their own are sampled from (Fig. 13 and 15). d = values of a latent.
class LatentGaussian {
 public:
  /// @param latents [N, k(, s, s)], N >= 2.
  explicit LatentGaussian(const torch::Tensor& latents);

  /// Standard normal numbers [n, k(, s, s)] -> latents of the same shape.
  [[nodiscard]] torch::Tensor draw(const torch::Tensor& normal) const;

  [[nodiscard]] const torch::Tensor& mean() const { return mean_; }              ///< [d] float64
  [[nodiscard]] const torch::Tensor& covariance() const { return covariance_; }  ///< [d, d], n - 1
  /// Lower triangular, L L^T = covariance. Where the latents span fewer than d dimensions, a trace
  /// of the identity is added first.
  [[nodiscard]] const torch::Tensor& cholesky() const { return cholesky_; }

 private:
  torch::Tensor mean_;
  torch::Tensor covariance_;
  torch::Tensor cholesky_;
};

/// Interpolation along the great circle between the directions of a and b (Fig. 6): t = 0 gives a,
/// t = 1 gives b, each row with its own t. a, b [n, d], t [n] -> [n, d]. Rows of one direction are
/// interpolated linearly.
[[nodiscard]] torch::Tensor spherical_interpolation(const torch::Tensor& a, const torch::Tensor& b,
                                                    const torch::Tensor& t);

/// How far latents are from a normal distribution, value by value.
struct LatentMoments {
  torch::Tensor mean;      ///< [d]
  torch::Tensor stddev;    ///< [d]
  torch::Tensor skewness;  ///< [d]; 0 for a normal distribution.
  torch::Tensor kurtosis;  ///< [d], excess; 0 for a normal distribution.
};
/// @param latents [N, k(, s, s)]. Values that do not vary have skewness and kurtosis 0.
[[nodiscard]] LatentMoments moments_of(const torch::Tensor& latents);

}  // namespace gondola
