#include "trainer/decoders/siren_plain.hpp"

#include "trainer/layers/linear.hpp"
#include "trainer/parallel/overlapped_reduction.hpp"

namespace gondola {

torch::Tensor SirenPlain::decode(const SirenLayers& layers, const torch::Tensor& points,
                                 const torch::Tensor& latents) const {
  const auto p = linear(points, layers.of_points(), layers.biases[0], precision_);  // [N, h]
  const auto q = linear(latents, layers.of_latents(), {}, precision_);              // [B, h]
  auto x = activation_.forward(q.unsqueeze(1) + p.unsqueeze(0));                    // [B, N, h]
  for (std::size_t layer = 1; layer < layers.depth(); ++layer) {
    x = activation_.forward(linear(x, layers.weights[layer], layers.biases[layer], precision_));
  }
  return linear(x, layers.weights.back(), layers.biases.back(), precision_);
}

SirenPlain::OriginPass SirenPlain::pass_at_origin(const SirenLayers& layers,
                                                  const torch::Tensor& points,
                                                  OverlappedReduction* reduction) const {
  // Forward at z = 0; the pre-activations of every hidden layer are kept.
  std::vector<torch::Tensor> sums = {
      linear(points, layers.of_points(), layers.biases[0], precision_)};  // [N, h]
  for (std::size_t layer = 1; layer < layers.depth(); ++layer) {
    sums.push_back(linear(activation_.forward(sums.back()), layers.weights[layer],
                          layers.biases[layer], precision_));
    if (reduction != nullptr) reduction->between(sums.back());
  }
  const auto& last = layers.weights.back();
  const auto values = linear(activation_.forward(sums.back()), last, layers.biases.back(),
                             precision_);  // F0 [N, C]

  // Backward to the first pre-activation, for each channel.
  auto slope = activation_.backward(last.unsqueeze(1), sums.back().unsqueeze(0));  // [C, N, h]
  for (auto layer = layers.depth() - 1; layer > 0; --layer) {
    slope = activation_.backward(linear(slope, layers.weights[layer].t(), {}, precision_),
                                 sums[layer - 1].unsqueeze(0));
    if (reduction != nullptr) reduction->between(slope);
  }
  return {.values = values, .slope = slope};
}

SirenPlain::Origin SirenPlain::gradient_at_origin(const SirenLayers& layers,
                                                  const torch::Tensor& points,
                                                  const torch::Tensor& target,
                                                  torch::ScalarType sum_dtype,
                                                  OverlappedReduction* reduction) const {
  auto [values, slope] = pass_at_origin(layers, points, reduction);
  const auto product = [&](const torch::Tensor& x, const torch::Tensor& matrix) {
    return sum_dtype == x.scalar_type() ? linear(x, matrix.t(), {}, precision_)
                                        : at::linear(x.to(sum_dtype), matrix.t().to(sum_dtype));
  };
  torch::Tensor jacobian;
  if (reduction != nullptr) {
    jacobian = product(slope.flatten(0, 1), layers.of_latents());  // J = D Wz [C N, k]
    const auto shared = reduction->with_summed_gradients({values, jacobian});
    values = shared[0];
    jacobian = shared[1];
  }
  const auto residual = values.t().unsqueeze(0) - target;  // [B, C, N]
  const auto twice = 2 * residual.flatten(1);
  const auto of_latents = jacobian.defined()
                              ? product(twice, jacobian)
                              : product(product(twice, slope.flatten(0, 1)), layers.of_latents());
  return {.gradient = of_latents.to(target.dtype()),
          .loss = residual.detach().square().flatten(1).sum(1)};
}

}  // namespace gondola
