#include "trainer/decoders/siren_decoder.hpp"

#include <cmath>
#include <string>

#include "trainer/decoders/linear.hpp"

namespace gondola {
namespace {

/// SIREN initialisation for sin, PyTorch's default for every other activation.
std::vector<ParameterSpec> specs(const ModelSection& model, std::int64_t latent_size,
                                 std::int64_t channels) {
  const bool sine = model.activation == ActivationKind::kSin;
  std::vector<ParameterSpec> result;
  std::int64_t in = 2 + latent_size;
  for (std::int64_t layer = 0; layer <= model.layers; ++layer) {
    const std::int64_t out = layer == model.layers ? channels : model.hidden;
    const double inputs = static_cast<double>(in);
    const double fan = 1 / std::sqrt(inputs);
    const double siren = layer == 0 ? 1 / inputs : std::sqrt(6 / inputs) / model.w0;
    const std::string name = "siren.layer" + std::to_string(layer);
    result.push_back({.name = name + ".weight", .shape = {out, in}, .bound = sine ? siren : fan});
    result.push_back({.name = name + ".bias", .shape = {out}, .bound = fan});
    in = out;
  }
  return result;
}

}  // namespace

SirenDecoder::SirenDecoder(const ModelSection& model, const LatentSection& latent,
                           std::int64_t channels, std::int64_t height, std::int64_t width,
                           torch::ScalarType dtype, Precision precision, torch::Device device,
                           std::uint64_t seed)
    : latent_size_(latent.size),
      channels_(channels),
      hidden_layers_(static_cast<std::size_t>(model.layers)),
      w0_(model.activation == ActivationKind::kSin ? model.w0 : 1.0),
      precision_(precision),
      activation_(model.activation, model.leaky_slope),
      parameters_(specs(model, latent.size, channels), dtype, device, seed),
      grid_(full_grid(height, width, torch::TensorOptions().dtype(dtype).device(device))) {}

torch::Tensor SirenDecoder::decode(const torch::Tensor& latents, const Pass& pass) {
  TORCH_CHECK(latents.dim() == 2 && latents.size(1) == latent_size_, "latents must be [B, ",
              latent_size_, "], got ", latents.sizes());
  const Coordinates& at = pass.coordinates != nullptr ? *pass.coordinates : grid_;
  const auto images = latents.size(0);
  const auto points = at.points.size(0);

  // w0 is folded into weights and biases: [h, h] multiplications instead of [B, N, h].
  const auto first = weight(0) * w0_;
  const auto of_points =
      linear(at.points, first.narrow(1, 0, 2), bias(0) * w0_, precision_);  // [N, h]
  const auto of_latents =
      linear(latents, first.narrow(1, 2, latent_size_), {}, precision_);           // [B, h]
  auto h = activation_.forward(of_latents.unsqueeze(1) + of_points.unsqueeze(0));  // [B, N, h]
  for (std::size_t layer = 1; layer < hidden_layers_; ++layer) {
    h = activation_.forward(linear(h, weight(layer) * w0_, bias(layer) * w0_, precision_));
  }
  const auto values =
      linear(h, weight(hidden_layers_), bias(hidden_layers_), precision_);  // [B, N, C]
  if (at.index.defined()) return values.transpose(1, 2);                    // [B, C, N]
  TORCH_CHECK(points == at.height * at.width, "a full grid has height x width points");
  return values.view({images, at.height, at.width, channels_}).permute({0, 3, 1, 2});
}

OriginGradient SirenDecoder::gradient_at_origin(const torch::Tensor& images, const torch::Tensor&,
                                                std::int64_t, const Pass& pass) {
  const Coordinates& at = pass.coordinates != nullptr ? *pass.coordinates : grid_;
  // Forward at z = 0; the pre-activations of every hidden layer are kept.
  const auto first = weight(0) * w0_;
  std::vector<torch::Tensor> sums = {
      linear(at.points, first.narrow(1, 0, 2), bias(0) * w0_, precision_)};  // [N, h]
  std::vector<torch::Tensor> weights = {first};                              // times w0
  for (std::size_t layer = 1; layer < hidden_layers_; ++layer) {
    weights.push_back(weight(layer) * w0_);
    sums.push_back(
        linear(activation_.forward(sums.back()), weights[layer], bias(layer) * w0_, precision_));
  }
  const auto& last = weight(hidden_layers_);
  const auto values = linear(activation_.forward(sums.back()), last, bias(hidden_layers_),
                             precision_);  // F0 [N, C]

  // Backward to the first pre-activation, for each channel.
  auto slope = activation_.backward(last.unsqueeze(1), sums.back().unsqueeze(0));  // [C, N, h]
  for (std::size_t layer = hidden_layers_ - 1; layer > 0; --layer) {
    slope = activation_.backward(linear(slope, weights[layer].t(), {}, precision_),
                                 sums[layer - 1].unsqueeze(0));
  }

  const auto residual = values.t().unsqueeze(0) - values_at(images, at).flatten(2);  // [B, C, N]
  // Outside training the sums over the pixels are taken in float64: how a float32 product is
  // blocked, and so rounded, depends on how many images it has, and a latent must not (C11).
  const bool training = at::GradMode::is_enabled();
  const auto product = [&](const torch::Tensor& x, const torch::Tensor& matrix) {
    return training ? linear(x, matrix.t(), {}, precision_)
                    : at::linear(x.to(torch::kFloat64), matrix.t().to(torch::kFloat64));
  };
  const auto of_first = product(2 * residual.flatten(1), slope.flatten(0, 1));  // V [B, h]
  const auto of_latents = product(of_first, first.narrow(1, 2, latent_size_));  // [B, k]
  return {.gradient = of_latents.to(images.dtype()),
          .loss = residual.detach().square().flatten(1).sum(1)};
}

}  // namespace gondola
