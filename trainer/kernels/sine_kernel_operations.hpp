#pragma once

#include <functional>
#include <utility>

#include "trainer/kernels/sine_kernels.hpp"
#include "trainer/kernels/sine_operations.hpp"

namespace gondola {

/// SineOperations by kernels. `stream` gives the one that the calling thread puts work on, of the
/// device that is current, which is made that of the tensors.
class SineKernelOperations final : public SineOperations {
 public:
  SineKernelOperations(const SineKernels<float>& floats, const SineKernels<double>& doubles,
                       std::function<void*()> stream)
      : floats_(floats), doubles_(doubles), stream_(std::move(stream)) {}

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
  [[nodiscard]] const SineKernels<T>& kernels() const;

  const SineKernels<float>& floats_;
  const SineKernels<double>& doubles_;
  std::function<void*()> stream_;
};

}  // namespace gondola
