#pragma once

#include <torch/types.h>

namespace gondola {

/// The sines and cosines of the same angles, [n, h] each.
struct SineTable {
  torch::Tensor sines;
  torch::Tensor cosines;
};

/// What a sine network does between its products of matrices, for one kind of device; without
/// gradients. Tensors are contiguous, of one dtype (float32 or float64), and do not overlap; what
/// is said to be added to is not set to zero first.
///
/// Letters: n rows of h columns; or B images of N rows each, one image after another.
class SineOperations {
 public:
  SineOperations() = default;
  SineOperations(const SineOperations&) = delete;
  SineOperations& operator=(const SineOperations&) = delete;
  virtual ~SineOperations() = default;

  /// result = the sines and cosines of x + bias. x [n, h], bias [h]
  virtual void sine(const torch::Tensor& x, const torch::Tensor& bias,
                    const SineTable& result) const = 0;

  /// sine [B N, h] = sin(p_n + q_b), by angle addition. p of [N, h], q of [B, h]
  virtual void sum_sine(const SineTable& p, const SineTable& q,
                        const torch::Tensor& sine) const = 0;

  /// gradient *= cosine, both [n, h]; its columns' sums are added to sums [h].
  virtual void slope(const torch::Tensor& cosine, const torch::Tensor& gradient,
                     const torch::Tensor& sums) const = 0;

  /// The same for gradient = residual weight, which is made here. residual [n, C], weight [C, h]
  virtual void last_slope(const torch::Tensor& residual, const torch::Tensor& weight,
                          const torch::Tensor& cosine, const torch::Tensor& gradient,
                          const torch::Tensor& sums) const = 0;

  /// For d = gradient cos(p_n + q_b), which is not kept: adds sum_n d to of_images [B, h] and
  /// sum_bn points_n d to of_points [2, h]. points [N, 2], gradient [B N, h]
  virtual void first_slope(const torch::Tensor& points, const SineTable& p, const SineTable& q,
                           const torch::Tensor& gradient, const torch::Tensor& of_images,
                           const torch::Tensor& of_points) const = 0;
};

/// SineLoops on a CPU, SineKernels on a GPU. For any thread.
[[nodiscard]] const SineOperations& sine_operations(torch::Device device);

}  // namespace gondola
