#include "trainer/decoders/conv_decoder.hpp"

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "trainer/layers/batch_norm.hpp"
#include "trainer/layers/deterministic_convolutions.hpp"
#include "trainer/layers/sync_batch_norm.hpp"
#include "trainer/parallel/overlapped_reduction.hpp"

namespace gondola {
namespace {

torch::Tensor pixel_mean(const torch::Tensor& x) { return x.mean({0, 2, 3}, /*keepdim=*/true); }

}  // namespace

ConvDecoder::ConvDecoder(const ModelSection& model, const LatentSection& latent,
                         std::vector<ConvLayer> plan, Precision precision,
                         std::shared_ptr<Parameters> shared, Communicator* communicator)
    : Decoder(std::move(shared)),
      plan_(std::move(plan)),
      spatial_(latent.spatial),
      batch_norm_(model.batch_norm),
      precision_(precision),
      activation_(model.activation, model.leaky_slope) {
  for (std::size_t i = 0; i < plan_.size(); ++i) {
    const auto& layer = plan_[i];
    // PyTorch's default for a transposed convolution.
    const double bound =
        1 / std::sqrt(static_cast<double>(layer.out * layer.kernel * layer.kernel));
    const auto index = std::to_string(i);
    const auto name = "dec.conv" + index;
    convolutions_.push_back(
        parameters().declare({{.name = name + ".weight",
                               .shape = {layer.in, layer.out, layer.kernel, layer.kernel},
                               .bound = bound},
                              {.name = name + ".bias", .shape = {layer.out}, .bound = bound}}));
    if (model.batch_norm != BatchNormMode::kNone && i + 1 < plan_.size()) {
      norms_.emplace_back(shared_parameters(), "dec.bn" + index, layer.out,
                          convolutions_.back() + 1, sharing_ranks(model.batch_norm, communicator));
    }
  }
}

torch::Tensor ConvDecoder::up(const torch::Tensor& x, std::size_t layer,
                              const torch::Tensor& bias) const {
  const auto y = in_precision(x, layer, &transposed_convolution);
  return bias.defined() ? y + per_channel(bias) : y;
}

torch::Tensor ConvDecoder::down(const torch::Tensor& gradient, std::size_t layer) const {
  return in_precision(gradient, layer, &convolution);
}

/// A product with a layer's weight in the precision that products have.
torch::Tensor ConvDecoder::in_precision(const torch::Tensor& x, std::size_t layer,
                                        Convolve* convolve) const {
  const ConvolutionOptions options{
      .stride = plan_[layer].stride, .padding = plan_[layer].padding, .product = product_};
  if (precision_ != Precision::kBf16) return convolve(x, weight(layer), options);
  return convolve(x.to(torch::kBFloat16), weight(layer).to(torch::kBFloat16), options)
      .to(x.dtype());
}

std::int64_t ConvDecoder::output_side(std::size_t layer) const {
  auto side = spatial_;
  for (std::size_t i = 0; i <= layer; ++i) {
    side = (side - 1) * plan_[i].stride - 2 * plan_[i].padding + plan_[i].kernel;
  }
  return side;
}

std::vector<std::int64_t> ConvDecoder::latent_shape() const {
  if (spatial_ == 1) return {plan_.front().in};
  return {plan_.front().in, spatial_, spatial_};
}

bool ConvDecoder::couples_images(Normalisation normalisation) const {
  return !norms_.empty() && normalisation != Normalisation::kRunning;
}

torch::Tensor ConvDecoder::decode(const torch::Tensor& latents, const Pass& pass) {
  const auto images = latents.size(0);
  PassStatistics statistics;
  auto x = latents.view({images, plan_.front().in, spatial_, spatial_});
  for (std::size_t i = 0; i + 1 < plan_.size(); ++i) {
    x = norms_.empty()
            ? activation_.forward(up(x, i, bias(i)))
            : norms_[i].forward(up(x, i, {}), activation_, pass.normalisation, statistics);
  }
  if (!statistics.empty() && pass.record != nullptr) pass.record->push_back(std::move(statistics));
  return at::sigmoid(up(x, plan_.size() - 1, bias(plan_.size() - 1)).contiguous());  // [B, C, H, W]
}

/// One hidden layer of one image at z = 0; differentiable in the parameters.
struct ConvDecoder::OriginLayer {
  torch::Tensor normalised;  ///< x^ = (x - mean) / sigma, [1, C, H, W]
  torch::Tensor activated;   ///< y = gain x^ + shift: what the activation sees, [1, C, H, W]
  torch::Tensor scale;       ///< gain / sigma, [1, C, 1, 1]
};

struct ConvDecoder::OriginPass {
  std::vector<OriginLayer> layers;
  torch::Tensor image;  ///< F(0), [1, C, H, W]
};

ConvDecoder::OriginPass ConvDecoder::run_at_origin(std::int64_t global_images, const Pass& pass) {
  OriginPass result;
  PassStatistics statistics;
  const auto side = output_side(0);
  auto x = torch::zeros({1, plan_.front().out, side, side}, weight(0).options());
  for (std::size_t i = 0; i + 1 < plan_.size(); ++i) {
    if (i > 0) x = up(x, i, {});  // the first one's result is 0, whatever its weight
    const auto mean = pixel_mean(x);
    const auto centered = x - mean;
    const auto variance = pixel_mean(centered * centered);
    const auto inverse_stddev = at::rsqrt(variance + kBatchNormEpsilon);
    if (pass.record != nullptr) {
      const double n = static_cast<double>(global_images * x.size(2) * x.size(3));
      statistics.push_back({.layer = norms_[i].index(),
                            .mean = mean.detach().flatten() + bias(i).detach(),
                            .variance = variance.detach().flatten() * (n / std::max(n - 1, 1.0))});
    }
    OriginLayer layer;
    layer.normalised = centered * inverse_stddev;
    layer.activated =
        layer.normalised * per_channel(norms_[i].gain()) + per_channel(norms_[i].shift());
    layer.scale = per_channel(norms_[i].gain()) * inverse_stddev;
    x = activation_.forward(layer.activated);
    result.layers.push_back(std::move(layer));
  }
  if (!statistics.empty() && pass.record != nullptr) pass.record->push_back(std::move(statistics));
  result.image = at::sigmoid(up(x, plan_.size() - 1, bias(plan_.size() - 1)));
  return result;
}

/// What deviations from the batch mean are multiplied with at one layer: the activation's slope and
/// batch norm as a constant scaling. [1, C, H, W]
torch::Tensor ConvDecoder::scaling(const OriginLayer& layer) const {
  return activation_.backward(layer.scale.expand_as(layer.activated), layer.activated);
}

/// d loss / d z of deviations d loss / d a_L [B, C, H, W], a_L the values under the last sigmoid.
torch::Tensor ConvDecoder::gradients_of_deviations(const OriginPass& origin,
                                                   torch::Tensor deviation) const {
  for (std::size_t i = plan_.size() - 1; i > 0; --i) {
    deviation = down(deviation, i) * scaling(origin.layers[i - 1]);
  }
  return down(deviation, 0).flatten(1);  // [B, k s s]
}

/// The same of their mean [1, C, H, W], through batch norm's whole backward pass.
torch::Tensor ConvDecoder::gradient_of_mean(const OriginPass& origin, torch::Tensor mean) const {
  for (std::size_t i = plan_.size() - 1; i > 0; --i) {
    const auto& layer = origin.layers[i - 1];
    mean = activation_.backward(down(mean, i), layer.activated);
    mean = (mean - pixel_mean(mean) - layer.normalised * pixel_mean(mean * layer.normalised)) *
           layer.scale;
  }
  return down(mean, 0).flatten(1);  // [1, k s s]
}

/// J = d a_L / d z for one image under constant scalings, one tangent for each latent value:
/// [k s s, C, H, W].
torch::Tensor ConvDecoder::jacobian(const OriginPass& origin,
                                    OverlappedReduction* reduction) const {
  const auto channels = plan_.front().in;
  const auto values = channels * spatial_ * spatial_;
  torch::Tensor x;
  if (spatial_ == 1 && plan_.front().padding == 0) {
    x = weight(0);  // what the first layer makes of a 1 in each channel
  } else {
    x = up(torch::eye(values, weight(0).options().requires_grad(false))
               .view({values, channels, spatial_, spatial_}),
           0, {});
  }
  for (std::size_t i = 0; i + 1 < plan_.size(); ++i) {
    if (i > 0) x = up(x, i, {});
    x = x * scaling(origin.layers[i]);
    if (reduction != nullptr) reduction->between(x);
  }
  return up(x, plan_.size() - 1, {});
}

/// With the slope s of the sigmoid: M = -2 (s J)^T, and c holds what the mean image gives.
OriginMap ConvDecoder::origin_map(const torch::Tensor& mean_image) {
  const at::NoGradGuard no_grad;
  const auto origin = run_at_origin(/*global_images=*/1, {});
  const auto slope = at::sigmoid_backward(torch::ones_like(origin.image), origin.image);
  const auto matrix = (jacobian(origin) * slope).flatten(1).mul_(-2);  // [k s s, C H W]
  const auto of_mean = gradient_of_mean(origin, (origin.image - mean_image) * 2 * slope);
  const auto offset = of_mean.squeeze(0).to(torch::kFloat64) -
                      matrix.to(torch::kFloat64).mv(mean_image.flatten().to(torch::kFloat64));
  return {.matrix = matrix, .offset = offset.to(matrix.options()), .product = product_};
}

OriginGradient ConvDecoder::gradient_at_origin(const torch::Tensor& images,
                                               const torch::Tensor& mean_image,
                                               std::int64_t global_images, const Pass& pass) {
  TORCH_CHECK(couples_images(pass.normalisation),
              "without batch statistics images are independent");
  auto shape = latent_shape();
  shape.insert(shape.begin(), images.size(0));
  if (encodes_only(pass)) {
    const auto& map = map_.get(parameters(), mean_image, [&] { return origin_map(mean_image); });
    return {.gradient = map(images).view(shape), .loss = {}};
  }
  std::optional<DeterministicConvolutions> alike;
  if (pass.reduction != nullptr) alike.emplace();
  const auto origin = run_at_origin(global_images, pass);
  const auto slope = at::sigmoid_backward(torch::ones_like(origin.image), origin.image);
  const auto deviation = (mean_image - images) * 2;  // [B, C, H, W]
  auto of_mean = gradient_of_mean(origin, (origin.image - mean_image) * 2 * slope);
  torch::Tensor of_deviations;
  if (takes_tangents(global_images)) {
    auto matrix = (jacobian(origin, pass.reduction) * slope).flatten(1);  // [k s s, C H W]
    if (pass.reduction != nullptr) {
      const auto shared = pass.reduction->with_summed_gradients({matrix, of_mean});
      matrix = shared[0];
      of_mean = shared[1];
    }
    of_deviations = deviation.flatten(1).mm(matrix.t());
  } else {
    of_deviations = gradients_of_deviations(origin, deviation * slope);
  }
  const auto residual = origin.image.detach() - images;
  return {.gradient = (of_deviations + of_mean).view(shape),
          .loss = residual.square().flatten(1).sum(1)};
}

bool ConvDecoder::takes_tangents(std::int64_t global_images) const {
  return c10::multiply_integers(latent_shape()) < global_images;
}

/// Gradients of the tangents and of what all images have from their mean. Under `local` that is
/// each rank's own mean.
std::int64_t ConvDecoder::origin_sums(std::int64_t, std::int64_t global_images) const {
  if (batch_norm_ != BatchNormMode::kSync || !takes_tangents(global_images)) return 0;
  const auto side = output_side(plan_.size() - 1);
  return c10::multiply_integers(latent_shape()) * (plan_.back().out * side * side + 1);
}

}  // namespace gondola
