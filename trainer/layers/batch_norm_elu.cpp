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
      auto partial = torch::zeros({rows.parts, rows.width + 1}, torch::kFloat64);
      rows.for_parts([&](std::int64_t part, std::int64_t first, std::int64_t count) {
        loops.sum(count, rows.width, at<scalar_t>(x, first * rows.width),
                  partial.mutable_data_ptr<double>() + part * (rows.width + 1));
      });
      auto totals = partial.sum(0);
      totals[rows.width] = static_cast<double>(x.size(0));
      totals = summed(totals, communicator);
      values = totals[rows.width].item<double>() * static_cast<double>(x.size(2) * x.size(3));
      mean = (totals.narrow(0, 0, rows.width) / values).to(type);
      partial = torch::zeros({rows.parts, rows.width}, torch::kFloat64);
      rows.for_parts([&](std::int64_t part, std::int64_t first, std::int64_t count) {
        loops.squares(count, rows.width, at<scalar_t>(x, first * rows.width), at<scalar_t>(mean),
                      partial.mutable_data_ptr<double>() + part * rows.width);
      });
      squares = summed(partial.sum(0), communicator);
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
    const auto& given = saved[0];
    const auto& gain = saved[1];
    const auto& shift = saved[2];
    auto* communicator =
        reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    if (at::GradMode::is_enabled()) {  // a graph is kept
      return batch_norm_elu_backward(given, gain, shift, gradients[0], communicator);
    }
    const auto& mean = saved[3];
    const auto& inverse_stddev = saved[4];
    const auto& out = saved[5];
    const auto x = given.contiguous(kLast);
    const auto gradient = gradients[0].contiguous(kLast);
    const Rows rows(x);
    const auto type = x.scalar_type();
    const double values = context->saved_data["values"].toDouble();
    auto of_x = torch::empty_like(x, kLast);
    torch::Tensor of_gain;
    torch::Tensor of_shift;
    AT_DISPATCH_FLOATING_TYPES(type, "batch_norm_elu", [&] {
      const auto& loops = norm_loops<scalar_t>();
      auto partial = torch::zeros({rows.parts, 2, rows.width}, torch::kFloat64);
      rows.for_parts([&](std::int64_t part, std::int64_t first, std::int64_t count) {
        const auto begin = first * rows.width;
        auto* const sums = partial.mutable_data_ptr<double>() + part * 2 * rows.width;
        loops.slope_sums(count, rows.width, at<scalar_t>(gradient, begin), at<scalar_t>(out, begin),
                         at<scalar_t>(x, begin), at<scalar_t>(mean), sums, sums + rows.width);
      });
      auto sums = partial.sum(0);
      sums[1].mul_(inverse_stddev);
      of_shift = sums[0].to(type, /*non_blocking=*/false, /*copy=*/true);
      of_gain = sums[1].to(type, /*non_blocking=*/false, /*copy=*/true);
      sums = summed(sums, communicator) / values;
      // dx = gain / sigma (h - mean(h) - x^ mean(h x^)),  x^ = (x - mean) / sigma
      const auto level = sums[0].to(type);
      const auto along = (sums[1] * inverse_stddev).to(type);
      const auto scale = gain * inverse_stddev;
      rows.for_parts([&](std::int64_t, std::int64_t first, std::int64_t count) {
        const auto begin = first * rows.width;
        loops.backward(count, rows.width, at<scalar_t>(gradient, begin), at<scalar_t>(out, begin),
                       at<scalar_t>(x, begin), at<scalar_t>(mean), at<scalar_t>(level),
                       at<scalar_t>(along), at<scalar_t>(scale),
                       of_x.mutable_data_ptr<scalar_t>() + begin);
      });
    });
    return {of_x, of_gain, of_shift, {}};
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
