#pragma once

#include "trainer/kernels/sine_loops.hpp"
#include "trainer/kernels/sine_operations.hpp"

namespace gondola {

/// SineOperations by the loops of one instruction set, on the calling thread.
class SineLoopOperations final : public SineOperations {
 public:
  SineLoopOperations(const SineLoops<float>& floats, const SineLoops<double>& doubles)
      : floats_(floats), doubles_(doubles) {}

  void sine(const torch::Tensor& x, const torch::Tensor& bias,
            const SineTable& result) const override;
  void sum_sine(const SineTable& p, const SineTable& q, const torch::Tensor& sine) const override;
  void slope(const torch::Tensor& cosine, const torch::Tensor& gradient,
             const torch::Tensor& sums) const override;
  void last_slope(const torch::Tensor& residual, const torch::Tensor& weight,
                  const torch::Tensor& cosine, const torch::Tensor& gradient,
                  const torch::Tensor& sums) const override;
  void first_slope(const torch::Tensor& points, const SineTable& p, const SineTable& q,
                   const torch::Tensor& gradient, const torch::Tensor& of_images,
                   const torch::Tensor& of_points) const override;

 private:
  template <typename T>
  [[nodiscard]] const SineLoops<T>& loops() const;

  const SineLoops<float>& floats_;
  const SineLoops<double>& doubles_;
};

}  // namespace gondola
