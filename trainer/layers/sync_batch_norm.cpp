#include "trainer/layers/sync_batch_norm.hpp"

#include <torch/autograd.h>

#include "trainer/parallel/differentiable_sum.hpp"

namespace gondola {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

Communicator* communicator_of(AutogradContext* context) {
  return reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
}

void keep_communicator(AutogradContext* context, Communicator* communicator) {
  context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
}

/// [C] as [1, C, 1, 1].
torch::Tensor per_channel(const torch::Tensor& x) { return x.view({1, -1, 1, 1}); }

torch::Tensor channel_sums(const torch::Tensor& x) { return x.sum({0, 2, 3}); }  // [C]

/// What normalising needs of the batch; differentiable in x where x has a graph.
struct Statistics {
  torch::Tensor centered;        ///< x - mean
  torch::Tensor inverse_stddev;  ///< [C]
  torch::Tensor mean;            ///< [C]
  torch::Tensor squares;         ///< [C], sum of (x - mean)^2 over all ranks
  double values = 0;             ///< n: values per channel over all ranks
};

/// Collective. The number of images and the channel sums travel in one reduction.
Statistics statistics_of(const torch::Tensor& x, Communicator* communicator) {
  const auto channels = x.size(1);
  const auto count = torch::full({1}, static_cast<double>(x.size(0)), x.options());
  const auto totals =
      all_reduce_sum_differentiable(torch::cat({channel_sums(x), count}), communicator);
  Statistics s;
  s.values =
      communicator == nullptr ? static_cast<double>(x.size(0)) : totals[channels].item<double>();
  s.values *= static_cast<double>(x.size(2) * x.size(3));
  s.mean = totals.narrow(0, 0, channels) / s.values;
  s.centered = x - per_channel(s.mean);
  s.squares = all_reduce_sum_differentiable(channel_sums(s.centered * s.centered), communicator);
  s.inverse_stddev = at::rsqrt(s.squares / s.values + kBatchNormEpsilon);
  return s;
}

/// Collective. The gradients of x, gain and shift, and nothing for the communicator, from that of
/// the result; differentiable where the arguments are.
tensor_list backward_through(const torch::Tensor& centered, const torch::Tensor& inverse_stddev,
                             double values, const torch::Tensor& gain, const torch::Tensor& g,
                             Communicator* communicator) {
  const auto of_shift = channel_sums(g);                             // [C]
  const auto of_gain = channel_sums(g * centered) * inverse_stddev;  // [C]
  const auto sums =
      all_reduce_sum_differentiable(torch::stack({of_shift, of_gain}), communicator) / values;
  // dx = gain / sigma (g - mean(g) - x^ mean(g x^)),  x^ = centered / sigma
  const auto along = per_channel(sums[1] * inverse_stddev);
  const auto dx =
      (g - per_channel(sums[0]) - centered * along) * per_channel(gain * inverse_stddev);
  return {dx, of_gain, of_shift, {}};
}

struct SyncBatchNorm : torch::autograd::Function<SyncBatchNorm> {
  static tensor_list forward(AutogradContext* context, const torch::Tensor& x,
                             const torch::Tensor& gain, const torch::Tensor& shift,
                             Communicator* communicator) {
    const auto s = statistics_of(x, communicator);
    keep_communicator(context, communicator);
    context->save_for_backward({x, gain, s.mean, s.inverse_stddev});
    context->saved_data["values"] = s.values;
    auto output = at::addcmul(per_channel(shift), s.centered, per_channel(gain * s.inverse_stddev));
    auto unbiased = s.squares / std::max(s.values - 1, 1.0);
    context->mark_non_differentiable({s.mean, unbiased});
    return {output, s.mean, unbiased};
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& x = saved[0];
    const auto& gain = saved[1];
    auto* communicator = communicator_of(context);
    const auto& g = gradients[0];

    if (at::GradMode::is_enabled()) {  // a graph is kept: the statistics depend on x
      const auto s = statistics_of(x, communicator);
      return backward_through(s.centered, s.inverse_stddev, s.values, gain, g, communicator);
    }
    return backward_through(x - per_channel(saved[2]), saved[3],
                            context->saved_data["values"].toDouble(), gain, g, communicator);
  }
};

}  // namespace

BatchNormResult sync_batch_norm(const torch::Tensor& x, const torch::Tensor& gain,
                                const torch::Tensor& shift, Communicator* communicator) {
  TORCH_CHECK(x.dim() == 4 && gain.numel() == x.size(1), "x must be [B, ", gain.numel(),
              ", H, W], got ", x.sizes());
  const auto result = SyncBatchNorm::apply(x, gain, shift, communicator);
  return {.output = result[0], .mean = result[1], .variance = result[2]};
}

}  // namespace gondola
