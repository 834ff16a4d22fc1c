#include "trainer/decoders/siren_decoder.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "trainer/decoders/pixel_target.hpp"
#include "trainer/layers/linear.hpp"

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
                           Precision precision, torch::Device device,
                           std::shared_ptr<Parameters> parameters)
    : Decoder(std::move(parameters)),
      latent_size_(latent.size),
      channels_(channels),
      hidden_layers_(static_cast<std::size_t>(model.layers)),
      w0_(model.activation == ActivationKind::kSin ? model.w0 : 1.0),
      fused_(model.activation == ActivationKind::kSin),
      plain_(Activation(model.activation, model.leaky_slope),
             fused_ && precision == Precision::kBf16 ? Precision::kFloat32 : precision),
      first_(this->parameters().declare(specs(model, latent.size, channels))),
      grid_(full_grid(height, width,
                      torch::TensorOptions().dtype(storage_dtype(precision)).device(device))) {
  if (precision == Precision::kBf16) set_product({ProductLibrary::kBf16, ProductLibrary::kBf16});
}

/// w0 is folded into weights and biases: [h, h] multiplications instead of [B, N, h].
SirenLayers SirenDecoder::layers() const {
  SirenLayers layers;
  for (std::size_t layer = 0; layer < hidden_layers_; ++layer) {
    layers.weights.push_back(weight(layer) * w0_);
    layers.biases.push_back(bias(layer) * w0_);
  }
  layers.weights.push_back(weight(hidden_layers_));
  layers.biases.push_back(bias(hidden_layers_));
  return layers;
}

void SirenDecoder::check(const torch::Tensor& latents) const {
  TORCH_CHECK(latents.dim() == 2 && latents.size(1) == latent_size_, "latents must be [B, ",
              latent_size_, "], got ", latents.sizes());
}

torch::Tensor SirenDecoder::decode(const torch::Tensor& latents, const Pass& pass) {
  check(latents);
  const Coordinates& at = points_of(pass);
  const auto values = fused_ ? functions_.decode(layers(), at.points, latents)
                             : plain_.decode(layers(), at.points, latents);  // [B, N, C]
  if (at.index.defined()) return values.transpose(1, 2);                     // [B, C, N]
  TORCH_CHECK(at.points.size(0) == at.height * at.width, "a full grid has height x width points");
  return values.view({latents.size(0), at.height, at.width, channels_}).permute({0, 3, 1, 2});
}

torch::Tensor SirenDecoder::squared_error(const torch::Tensor& latents, const torch::Tensor& images,
                                          const Pass& pass) {
  check(latents);
  const Coordinates& at = points_of(pass);
  const auto target = values_at(images, at).flatten(2);  // [B, C, N]
  if (fused_) return functions_.squared_error(layers(), at.points, latents, target, at.weight);
  const auto values = plain_.decode(layers(), at.points, latents);
  return (values.transpose(1, 2) - values_of(target, values.scalar_type()))
             .square()
             .flatten(1)
             .sum(1) *
         at.weight;
}

/// M = -2 J^T and c = 2 F0 J with J = D Wz [C N, k]; a part of the coordinates at a time.
OriginMap SirenDecoder::origin_map() const {
  constexpr std::int64_t kPartPoints = 4096;
  const at::NoGradGuard no_grad;
  const auto now = layers();
  const auto points = grid_.points.size(0);
  const auto options = grid_.points.options();
  auto jacobian = torch::empty({channels_, points, latent_size_}, options);
  auto offset = torch::zeros({latent_size_}, options.dtype(torch::kFloat64));
  for (std::int64_t first = 0; first < points; first += kPartPoints) {
    const auto count = std::min(kPartPoints, points - first);
    const auto part = plain_.pass_at_origin(now, grid_.points.narrow(0, first, count));
    const auto of_latents = part.slope.matmul(now.of_latents());  // [C, n, k]
    jacobian.narrow(1, first, count).copy_(of_latents);
    offset += (part.values.t().unsqueeze(-1).to(torch::kFloat64) * of_latents.to(torch::kFloat64))
                  .sum(at::IntArrayRef{0, 1});
  }
  // A latent takes no rounded values.
  const bool rounds = product().rows() == ProductLibrary::kBf16;
  return {.matrix = jacobian.view({channels_ * points, latent_size_}).t().mul(-2).contiguous(),
          .offset = offset.mul_(2).to(options),
          .product = rounds ? MatrixProduct() : product()};
}

OriginGradient SirenDecoder::gradient_at_origin(const torch::Tensor& images, const torch::Tensor&,
                                                std::int64_t, const Pass& pass) {
  constexpr std::int64_t kMostMapBytes = std::int64_t{256} << 20;
  const auto map_bytes = channels_ * grid_.points.size(0) * latent_size_ *
                         static_cast<std::int64_t>(grid_.points.element_size());
  if (encodes_only(pass) && pass.coordinates == nullptr && map_bytes <= kMostMapBytes) {
    const auto& map = map_.get(parameters(), {}, [this] { return origin_map(); });
    return {.gradient = map(values_of(images, grid_.points.scalar_type())), .loss = {}};
  }
  const Coordinates& at = points_of(pass);
  const auto target = values_at(images, at).flatten(2);  // [B, C, N]
  if (fused_) {
    const auto origin = functions_.gradient_at_origin(layers(), at.points, target, pass.reduction);
    return {.gradient = origin.gradient * at.weight, .loss = origin.loss * at.weight};
  }
  // Outside training the sums over the pixels are taken in float64: how a float32 product is
  // blocked, and so rounded, depends on how many images it has, and a latent must not (C11).
  const auto sum_dtype = at::GradMode::is_enabled() ? at.points.scalar_type() : torch::kFloat64;
  const auto origin = plain_.gradient_at_origin(
      layers(), at.points, values_of(target, at.points.scalar_type()), sum_dtype, pass.reduction);
  return {.gradient = origin.gradient * at.weight, .loss = origin.loss * at.weight};
}

/// Gradients of J and F0, or of J and their own sum.
std::int64_t SirenDecoder::origin_sums(std::int64_t points, std::int64_t) const {
  const auto values = channels_ * (points > 0 ? points : grid_.points.size(0));
  return values * latent_size_ + std::max(values, latent_size_);
}

}  // namespace gondola
