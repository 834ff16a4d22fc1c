#include "trainer/kernels/sine_kernel_operations.hpp"

#include <ATen/Dispatch.h>
#include <c10/core/DeviceGuard.h>

namespace gondola {

template <>
const SineKernels<float>& SineKernelOperations::kernels() const {
  return floats_;
}

template <>
const SineKernels<double>& SineKernelOperations::kernels() const {
  return doubles_;
}

void SineKernelOperations::sine(const torch::Tensor& x, const torch::Tensor& bias,
                                const SineTable& result) const {
  const c10::OptionalDeviceGuard guard(x.device());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "sine", [&] {
    kernels<scalar_t>().sine(stream_(), x.size(0), x.size(1), bias.data_ptr<scalar_t>(),
                             x.data_ptr<scalar_t>(), result.sines.data_ptr<scalar_t>(),
                             result.cosines.data_ptr<scalar_t>());
  });
}

void SineKernelOperations::sum_sine(const SineTable& p, const SineTable& q,
                                    const torch::Tensor& sine) const {
  const c10::OptionalDeviceGuard guard(sine.device());
  AT_DISPATCH_FLOATING_TYPES(sine.scalar_type(), "sum_sine", [&] {
    kernels<scalar_t>().sum_sine(stream_(), q.sines.size(0), p.sines.size(0), p.sines.size(1),
                                 p.sines.data_ptr<scalar_t>(), p.cosines.data_ptr<scalar_t>(),
                                 q.sines.data_ptr<scalar_t>(), q.cosines.data_ptr<scalar_t>(),
                                 sine.data_ptr<scalar_t>());
  });
}

void SineKernelOperations::slope(const torch::Tensor& cosine, const torch::Tensor& gradient,
                                 const torch::Tensor& sums) const {
  const c10::OptionalDeviceGuard guard(cosine.device());
  const auto rows = cosine.size(0);
  const auto width = cosine.size(1);
  const auto partial = torch::empty({sine_sum_blocks(rows), width}, cosine.options());
  AT_DISPATCH_FLOATING_TYPES(cosine.scalar_type(), "slope", [&] {
    kernels<scalar_t>().slope(stream_(), rows, width, cosine.data_ptr<scalar_t>(),
                              gradient.data_ptr<scalar_t>(), partial.data_ptr<scalar_t>());
  });
  sums.add_(partial.sum(0));
}

void SineKernelOperations::last_slope(const torch::Tensor& residual, const torch::Tensor& weight,
                                      const torch::Tensor& cosine, const torch::Tensor& gradient,
                                      const torch::Tensor& sums) const {
  const c10::OptionalDeviceGuard guard(cosine.device());
  const auto rows = cosine.size(0);
  const auto width = cosine.size(1);
  const auto partial = torch::empty({sine_sum_blocks(rows), width}, cosine.options());
  AT_DISPATCH_FLOATING_TYPES(cosine.scalar_type(), "last_slope", [&] {
    kernels<scalar_t>().last_slope(stream_(), rows, width, weight.size(0),
                                   residual.data_ptr<scalar_t>(), weight.data_ptr<scalar_t>(),
                                   cosine.data_ptr<scalar_t>(), gradient.data_ptr<scalar_t>(),
                                   partial.data_ptr<scalar_t>());
  });
  sums.add_(partial.sum(0));
}

void SineKernelOperations::first_slope(const torch::Tensor& points, const SineTable& p,
                                       const SineTable& q, const torch::Tensor& gradient,
                                       const torch::Tensor& of_images,
                                       const torch::Tensor& of_points) const {
  const c10::OptionalDeviceGuard guard(gradient.device());
  const auto images = q.sines.size(0);
  const auto rows = p.sines.size(0);
  const auto width = p.sines.size(1);
  const auto partial = torch::empty({images, sine_sum_blocks(rows), 3, width}, gradient.options());
  AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "first_slope", [&] {
    kernels<scalar_t>().first_slope(stream_(), images, rows, width, points.data_ptr<scalar_t>(),
                                    p.sines.data_ptr<scalar_t>(), p.cosines.data_ptr<scalar_t>(),
                                    q.sines.data_ptr<scalar_t>(), q.cosines.data_ptr<scalar_t>(),
                                    gradient.data_ptr<scalar_t>(), partial.data_ptr<scalar_t>());
  });
  const auto by_image = partial.sum(1);  // [B, 3, h]
  of_images.add_(by_image.select(1, 0));
  of_points.add_(by_image.narrow(1, 1, 2).sum(0));
}

}  // namespace gondola
