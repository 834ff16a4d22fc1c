#include "trainer/kernels/sine_loop_operations.hpp"

#include <ATen/Dispatch.h>

namespace gondola {

template <>
const SineLoops<float>& SineLoopOperations::loops() const {
  return floats_;
}

template <>
const SineLoops<double>& SineLoopOperations::loops() const {
  return doubles_;
}

void SineLoopOperations::sine(const torch::Tensor& x, const torch::Tensor& bias,
                              const SineTable& result) const {
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "sine", [&] {
    loops<scalar_t>().sine(x.size(0), x.size(1), bias.data_ptr<scalar_t>(), x.data_ptr<scalar_t>(),
                           result.sines.data_ptr<scalar_t>(), result.cosines.data_ptr<scalar_t>());
  });
}

void SineLoopOperations::sum_sine(const SineTable& p, const SineTable& q,
                                  const torch::Tensor& sine) const {
  const auto rows = p.sines.size(0);
  const auto width = p.sines.size(1);
  AT_DISPATCH_FLOATING_TYPES(sine.scalar_type(), "sum_sine", [&] {
    for (std::int64_t image = 0; image < q.sines.size(0); ++image) {
      loops<scalar_t>().sum_sine(rows, width, p.sines.data_ptr<scalar_t>(),
                                 p.cosines.data_ptr<scalar_t>(),
                                 q.sines.data_ptr<scalar_t>() + image * width,
                                 q.cosines.data_ptr<scalar_t>() + image * width,
                                 sine.data_ptr<scalar_t>() + image * rows * width);
    }
  });
}

void SineLoopOperations::slope(const torch::Tensor& cosine, const torch::Tensor& gradient,
                               const torch::Tensor& sums) const {
  AT_DISPATCH_FLOATING_TYPES(cosine.scalar_type(), "slope", [&] {
    loops<scalar_t>().slope(cosine.size(0), cosine.size(1), cosine.data_ptr<scalar_t>(),
                            gradient.data_ptr<scalar_t>(), sums.data_ptr<scalar_t>());
  });
}

void SineLoopOperations::last_slope(const torch::Tensor& residual, const torch::Tensor& weight,
                                    const torch::Tensor& cosine, const torch::Tensor& gradient,
                                    const torch::Tensor& sums) const {
  AT_DISPATCH_FLOATING_TYPES(cosine.scalar_type(), "last_slope", [&] {
    loops<scalar_t>().last_slope(cosine.size(0), cosine.size(1), weight.size(0),
                                 residual.data_ptr<scalar_t>(), weight.data_ptr<scalar_t>(),
                                 cosine.data_ptr<scalar_t>(), gradient.data_ptr<scalar_t>(),
                                 sums.data_ptr<scalar_t>());
  });
}

void SineLoopOperations::first_slope(const torch::Tensor& points, const SineTable& p,
                                     const SineTable& q, const torch::Tensor& gradient,
                                     const torch::Tensor& of_images,
                                     const torch::Tensor& of_points) const {
  const auto rows = p.sines.size(0);
  const auto width = p.sines.size(1);
  const auto sums = torch::empty({3, width}, gradient.options());
  AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "first_slope", [&] {
    for (std::int64_t image = 0; image < q.sines.size(0); ++image) {
      sums.zero_();
      loops<scalar_t>().first_slope(
          rows, width, points.data_ptr<scalar_t>(), p.sines.data_ptr<scalar_t>(),
          p.cosines.data_ptr<scalar_t>(), q.sines.data_ptr<scalar_t>() + image * width,
          q.cosines.data_ptr<scalar_t>() + image * width,
          gradient.data_ptr<scalar_t>() + image * rows * width, sums.data_ptr<scalar_t>());
      of_images[image].add_(sums[0]);
      of_points.add_(sums.narrow(0, 1, 2));
    }
  });
}

}  // namespace gondola
