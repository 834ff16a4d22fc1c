#include "trainer/layers/batch_norm_elu.hpp"

#include <ATen/Dispatch.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "trainer/kernels/norm_loops.hpp"
#include "trainer/kernels/parallel_tasks.hpp"

namespace gondola {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr auto kLast = torch::MemoryFormat::ChannelsLast;

/// The pixels of a batch as rows, each thread's part of them.
struct Rows {
  std::int64_t count = 0;
  std::int64_t width = 0;
  std::int64_t parts = 1;

  explicit Rows(const torch::Tensor& x)
      : count(x.size(0) * x.size(2) * x.size(3)),
        width(x.size(1)),
        parts(std::clamp<std::int64_t>(parallel_width(), 1, std::max<std::int64_t>(count, 1))) {}

  /// work(part, first row, rows) on all threads.
  template <typename Work>
  void for_parts(const Work& work) const {
    parallel_tasks(parts, [&](std::int64_t part) {
      const auto first = count * part / parts;
      work(part, first, count * (part + 1) / parts - first);
    });
  }

  /// The sums that work(first row, rows, where to add) adds up on all threads, each its own.
  /// [n, width] double
  template <typename Work>
  [[nodiscard]] torch::Tensor sums(std::int64_t n, const Work& work) const {
    const auto partial = torch::zeros({parts, n, width}, torch::kFloat64);
    for_parts([&](std::int64_t part, std::int64_t first, std::int64_t rows) {
      work(first, rows, partial.mutable_data_ptr<double>() + part * n * width);
    });
    return partial.sum(0);
  }
};

template <typename T>
const T* at(const torch::Tensor& x, std::int64_t first = 0) {
  return x.const_data_ptr<T>() + first;
}

/// Adds over the ranks. [...] double
torch::Tensor summed(torch::Tensor sums, Communicator* communicator) {
  if (communicator != nullptr) communicator->all_reduce_sum(sums);
  return sums;
}

/// The backward pass, of which the second derivatives are those of the latents: it may be
/// differentiated once. Its last arguments follow from the first ones and have no gradients.
struct BatchNormEluBackward : torch::autograd::Function<BatchNormEluBackward> {
  static tensor_list forward(AutogradContext* context, const torch::Tensor& given_gradient,
                             const torch::Tensor& given, const torch::Tensor& gain,
                             const torch::Tensor& /*shift*/, const torch::Tensor& mean,
                             const torch::Tensor& inverse_stddev, const torch::Tensor& out,
                             double values, Communicator* communicator) {
    const auto x = given.contiguous(kLast);
    const auto gradient = given_gradient.contiguous(kLast);
    const Rows rows(x);
    const auto type = x.scalar_type();
    auto of_x = torch::empty_like(x, kLast);
    torch::Tensor own;    // [2, C], the sums of h and h x^ over this rank's images
    torch::Tensor means;  // [2, C], the means of the same over all ranks'
    AT_DISPATCH_FLOATING_TYPES(type, "batch_norm_elu", [&] {
      const auto& loops = norm_loops<scalar_t>();
      own = rows.sums(2, [&](std::int64_t first, std::int64_t count, double* sums) {
        const auto begin = first * rows.width;
        loops.slope_sums(count, rows.width, at<scalar_t>(gradient, begin), at<scalar_t>(out, begin),
                         at<scalar_t>(x, begin), at<scalar_t>(mean), sums, sums + rows.width);
      });
      own[1].mul_(inverse_stddev);
      means = summed(own.clone(), communicator) / values;
      // dx = gain / sigma (h - mean(h) - x^ mean(h x^)),  x^ = (x - mean) / sigma
      const auto level = means[0].to(type);
      const auto along = (means[1] * inverse_stddev).to(type);
      const auto scale = gain * inverse_stddev;
      rows.for_parts([&](std::int64_t, std::int64_t first, std::int64_t count) {
        const auto begin = first * rows.width;
        loops.backward(count, rows.width, at<scalar_t>(gradient, begin), at<scalar_t>(out, begin),
                       at<scalar_t>(x, begin), at<scalar_t>(mean), at<scalar_t>(level),
                       at<scalar_t>(along), at<scalar_t>(scale),
                       of_x.mutable_data_ptr<scalar_t>() + begin);
      });
    });
    context->save_for_backward(
        {given_gradient, given, gain, mean, inverse_stddev, out, own, means});
    context->saved_data["values"] = values;
    context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
    return {of_x, own[1].to(type, /*non_blocking=*/false, /*copy=*/true),
            own[0].to(type, /*non_blocking=*/false, /*copy=*/true)};
  }

  /// From the cotangents v of dx, a of d gain, b of d shift. With w0, w1, w2 the means of v, v x^
  /// and v h, V = scale v and v0, v1 the means of V and V x^:
  ///
  ///     c = V - (v0 - b) - x^ (v1 - a)                  of h, which h's means draw together
  ///     t = c d h / d y                                 of y = gain x^ + shift
  ///     r = -V mean(h x^) - h (v1 - a) + gain t         of x^
  ///     k = w2 - w0 mean(h) - w1 mean(h x^)             of gain / sigma, over the values
  ///     of x: (r - mean(r) - x^ (mean(r x^) + scale k)) / sigma
  static tensor_list backward(AutogradContext* context, tensor_list cotangents) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "batch_norm_elu has no third derivatives");
    const auto saved = context->get_saved_variables();
    const auto& gain = saved[2];
    const auto& mean = saved[3];
    const auto& inverse_stddev = saved[4];
    const auto& out = saved[5];
    const auto& own = saved[6];
    const auto& means = saved[7];
    const double values = context->saved_data["values"].toDouble();
    auto* communicator =
        reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    const auto gradient = saved[0].contiguous(kLast);
    const auto x = saved[1].contiguous(kLast);
    const auto tangent = cotangents[0].contiguous(kLast);
    const auto a = cotangents[1].to(torch::kFloat64);
    const auto b = cotangents[2].to(torch::kFloat64);
    const auto s = inverse_stddev.to(torch::kFloat64);
    const auto scale = gain.to(torch::kFloat64) * s;
    const Rows rows(x);
    const auto type = x.scalar_type();
    auto of_gradient = torch::empty_like(x, kLast);
    auto of_x = torch::empty_like(x, kLast);
    torch::Tensor of_gain;
    torch::Tensor of_shift;
    AT_DISPATCH_FLOATING_TYPES(type, "batch_norm_elu", [&] {
      const auto& loops = norm_loops<scalar_t>();
      const auto of_tangents =
          rows.sums(3, [&](std::int64_t first, std::int64_t count, double* sums) {
            const auto begin = first * rows.width;
            loops.tangent_sums(count, rows.width, at<scalar_t>(tangent, begin),
                               at<scalar_t>(gradient, begin), at<scalar_t>(out, begin),
                               at<scalar_t>(x, begin), at<scalar_t>(mean),
                               {sums, sums + rows.width, sums + 2 * rows.width});
          });
      of_tangents[1].mul_(s);
      const auto w = summed(of_tangents.clone(), communicator) / values;
      const auto k = w[2] - w[0] * means[0] - w[1] * means[1];
      const auto v = scale * w.narrow(0, 0, 2);
      const auto bent = v[1] - a;

      const auto typed_scale = scale.to(type);
      const auto level = (v[0] - b).to(type);
      const auto along = (bent * s).to(type);
      NormCurve<scalar_t> curve{.mean = at<scalar_t>(mean),
                                .scale = at<scalar_t>(typed_scale),
                                .level = at<scalar_t>(level),
                                .along = at<scalar_t>(along)};
      // Of t and t x^.
      const auto of_curve = rows.sums(2, [&](std::int64_t first, std::int64_t count, double* sums) {
        const auto begin = first * rows.width;
        loops.curve_sums(count, rows.width, at<scalar_t>(tangent, begin),
                         at<scalar_t>(gradient, begin), at<scalar_t>(out, begin),
                         at<scalar_t>(x, begin), curve, sums, sums + rows.width);
      });
      of_curve[1].mul_(s);
      const auto r = summed(of_curve * gain + own * a, communicator) / values -
                     torch::stack({v[0] * means[1] + v[1] * means[0], 2 * v[1] * means[1]});

      const auto of_tangent = (-scale * s * means[1]).to(type);
      const auto of_slope = (-s * bent).to(type);
      const auto level_x = (s * r[0]).to(type);
      const auto along_x = (s * s * (r[1] + scale * k)).to(type);
      curve.of_tangent = at<scalar_t>(of_tangent);
      curve.of_slope = at<scalar_t>(of_slope);
      curve.level_x = at<scalar_t>(level_x);
      curve.along_x = at<scalar_t>(along_x);
      rows.for_parts([&](std::int64_t, std::int64_t first, std::int64_t count) {
        const auto begin = first * rows.width;
        loops.curve(count, rows.width, at<scalar_t>(tangent, begin), at<scalar_t>(gradient, begin),
                    at<scalar_t>(out, begin), at<scalar_t>(x, begin), curve,
                    of_gradient.mutable_data_ptr<scalar_t>() + begin,
                    of_x.mutable_data_ptr<scalar_t>() + begin);
      });
      // Of this rank's images, as the first derivatives.
      const auto own_k = of_tangents[2] - of_tangents[0] * means[0] - of_tangents[1] * means[1];
      of_gain = (of_curve[1] + s * own_k).to(type);
      of_shift = of_curve[0].to(type, /*non_blocking=*/false, /*copy=*/true);
    });
    return {of_gradient, of_x, of_gain, of_shift, {}, {}, {}, {}, {}};
  }
};

struct BatchNormElu : torch::autograd::Function<BatchNormElu> {
  static tensor_list forward(AutogradContext* context, const torch::Tensor& given,
                             const torch::Tensor& gain, const torch::Tensor& shift,
                             Communicator* communicator) {
    const auto x = given.contiguous(kLast);
    const Rows rows(x);
    const auto type = x.scalar_type();
    auto out = torch::empty_like(x, kLast);
    torch::Tensor mean;
    torch::Tensor inverse_stddev;
    torch::Tensor squares;
    double values = 0;
    AT_DISPATCH_FLOATING_TYPES(type, "batch_norm_elu", [&] {
      const auto& loops = norm_loops<scalar_t>();
      // The number of images and the channels' sums travel together.
      const auto own = rows.sums(1, [&](std::int64_t first, std::int64_t count, double* sums) {
        loops.sum(count, rows.width, at<scalar_t>(x, first * rows.width), sums);
      });
      const auto images = torch::full({1}, static_cast<double>(x.size(0)), own.options());
      const auto totals = summed(torch::cat({own[0], images}), communicator);
      values = totals[rows.width].item<double>() * static_cast<double>(x.size(2) * x.size(3));
      mean = (totals.narrow(0, 0, rows.width) / values).to(type);
      const auto own_squares =
          rows.sums(1, [&](std::int64_t first, std::int64_t count, double* sums) {
            loops.squares(count, rows.width, at<scalar_t>(x, first * rows.width),
                          at<scalar_t>(mean), sums);
          });
      squares = summed(own_squares[0], communicator);
      inverse_stddev = at::rsqrt(squares / values + kBatchNormEpsilon).to(type);
      const auto scale = gain * inverse_stddev;
      rows.for_parts([&](std::int64_t, std::int64_t first, std::int64_t count) {
        loops.forward(count, rows.width, at<scalar_t>(x, first * rows.width), at<scalar_t>(mean),
                      at<scalar_t>(scale), at<scalar_t>(shift),
                      out.mutable_data_ptr<scalar_t>() + first * rows.width);
      });
    });
    context->save_for_backward({given, gain, shift, mean, inverse_stddev, out});
    context->saved_data["values"] = values;
    context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
    auto unbiased = (squares / std::max(values - 1, 1.0)).to(type);
    context->mark_non_differentiable({mean, unbiased});
    return {out, mean, unbiased};
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    auto result = BatchNormEluBackward::apply(
        gradients[0], saved[0], saved[1], saved[2], saved[3], saved[4], saved[5].detach(),
        context->saved_data["values"].toDouble(),
        reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt()));
    result.emplace_back();  // none for the communicator
    return result;
  }
};

}  // namespace

BatchNormResult batch_norm_elu(const torch::Tensor& x, const torch::Tensor& gain,
                               const torch::Tensor& shift, Communicator* communicator) {
  TORCH_CHECK(x.dim() == 4 && gain.numel() == x.size(1), "x must be [B, ", gain.numel(),
              ", H, W], got ", x.sizes());
  const auto result = BatchNormElu::apply(x, gain, shift, communicator);
  return {.output = result[0], .mean = result[1], .variance = result[2]};
}

}  // namespace gondola
