#include "trainer/latent/latent_encoder.hpp"

#include <torch/autograd.h>

#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

torch::Tensor zeros_for(Decoder& decoder, const torch::Tensor& images) {
  auto shape = decoder.latent_shape();
  shape.insert(shape.begin(), images.size(0));
  return torch::zeros(shape, images.options());
}

torch::Tensor target_of(const torch::Tensor& images, const Pass& pass) {
  return pass.coordinates == nullptr ? images : values_at(images, *pass.coordinates);
}

}  // namespace

LatentEncoder::LatentEncoder(const LatentSection& config, double step_size)
    : config_(config), step_size_(step_size) {
  TORCH_CHECK(step_size > 0, "the step size must be positive, got ", step_size);
}

bool LatentEncoder::shares_origin(const Decoder& decoder, Normalisation normalisation) const {
  if (decoder.couples_images(normalisation)) return true;  // exact on any number of ranks only so
  return config_.path != LatentPath::kDoubleBackward && config_.steps == 1 &&
         decoder.shares_origin(normalisation);
}

Encoding LatentEncoder::encode(Decoder& decoder, const EncoderInput& input, Graph graph,
                               const Pass& pass) const {
  TORCH_CHECK(input.images.dim() == 4, "images must be [B, C, H, W], got ", input.images.sizes());
  const bool keep_graph = graph == Graph::kKeep && !config_.detach;
  const bool random_origin = input.origin.defined();
  const auto target = target_of(input.images, pass);

  Encoding result;
  auto z = random_origin ? input.origin : zeros_for(decoder, input.images);
  for (std::int64_t step = 0; step < config_.steps; ++step) {
    torch::Tensor gradient;
    const bool from_zero = step == 0 && !random_origin;
    if (from_zero && shares_origin(decoder, pass.normalisation)) {
      const at::AutoGradMode enable_grad(keep_graph);
      const auto origin =
          decoder.gradient_at_origin(input.images, input.mean_image, input.global_images, pass);
      gradient = origin.gradient;
      result.inner_loss = origin.loss;
    } else {
      const at::AutoGradMode enable_grad(true);
      if (!z.requires_grad()) z = z.detach().requires_grad_(true);
      const auto loss = squared_error_per_image(decoder.decode(z, pass), target);  // [B]
      gradient = torch::autograd::grad({loss.sum()}, {z}, /*grad_outputs=*/{},
                                       /*retain_graph=*/keep_graph,
                                       /*create_graph=*/keep_graph)[0];
      if (step == 0) result.inner_loss = loss.detach();
    }
    const at::AutoGradMode enable_grad(keep_graph);
    const bool descent = config_.update == LatentUpdate::kDescent;
    z = descent ? z - step_size_ * gradient : -step_size_ * gradient;
    if (!keep_graph) z = z.detach();
  }
  result.latents = z;
  return result;
}

double published_scale(DecoderKind decoder, std::int64_t batch_size, std::int64_t channels,
                       std::int64_t height, std::int64_t width) {
  const auto terms =
      decoder == DecoderKind::kSiren ? batch_size * channels : batch_size * height * width;
  return 1.0 / static_cast<double>(terms);
}

}  // namespace gondola
