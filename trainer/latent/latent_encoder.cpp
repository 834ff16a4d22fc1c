#include "trainer/latent/latent_encoder.hpp"

#include <torch/autograd.h>

#include "trainer/latent/reconstruction_loss.hpp"

namespace gondola {
LatentEncoder::LatentEncoder(const LatentSection& config, double step_size)
    : config_(config), step_size_(step_size) {
  TORCH_CHECK(step_size > 0, "the step size must be positive, got ", step_size);
}

Encoding LatentEncoder::encode(const InnerLoss& loss, const torch::Tensor& origin, bool is_zero,
                               Graph graph) const {
  const bool keep_graph = graph == Graph::kKeep && !config_.detach;
  Encoding result;
  auto z = origin;
  for (std::int64_t step = 0; step < config_.steps; ++step) {
    torch::Tensor gradient;
    if (step == 0 && is_zero) {
      const at::AutoGradMode enable_grad(keep_graph);
      if (const auto shared = loss.at_origin()) {
        gradient = shared->gradient;
        result.inner_loss = shared->loss;
      }
    }
    if (!gradient.defined()) {
      const at::AutoGradMode enable_grad(true);
      if (!z.requires_grad()) z = z.detach().requires_grad_(true);
      const auto losses = loss.per_image(z);  // [B]
      gradient = torch::autograd::grad({losses.sum()}, {z}, /*grad_outputs=*/{},
                                       /*retain_graph=*/keep_graph,
                                       /*create_graph=*/keep_graph)[0];
      if (step == 0) result.inner_loss = losses.detach();
    }
    const at::AutoGradMode enable_grad(keep_graph);
    gradient = loss.over_parts(gradient);
    const bool descent = config_.update == LatentUpdate::kDescent;
    z = descent ? z - step_size_ * gradient : -step_size_ * gradient;
    if (!keep_graph) z = z.detach();
  }
  result.latents = z;
  return result;
}

Encoding LatentEncoder::encode(Decoder& decoder, const EncoderInput& input, Graph graph,
                               const Pass& pass) const {
  TORCH_CHECK(input.images.dim() == 4 || pass.coordinates != nullptr,
              "images must be [B, C, H, W], got ", input.images.sizes());
  const bool is_zero = !input.origin.defined();
  const bool share = config_.path != LatentPath::kDoubleBackward && config_.steps == 1;
  const ReconstructionLoss loss(decoder, input.images, input.mean_image, input.global_images, pass,
                                share);
  auto encoding =
      encode(loss, is_zero ? zero_origin(decoder, input.images) : input.origin, is_zero, graph);
  if (pass.reduction != nullptr) {
    TORCH_CHECK(is_zero && is_one_shared_step(decoder), "the origin is not shared");
    encoding.encoded = encoding.latents;
    encoding.latents = encoding.encoded.detach().requires_grad_(true);
  }
  return encoding;
}

bool LatentEncoder::is_one_shared_step(const Decoder& decoder) const {
  const auto training = Normalisation::kBatch;
  const bool shared =
      decoder.couples_images(training) ||
      (config_.path != LatentPath::kDoubleBackward && decoder.shares_origin(training));
  return shared && config_.steps == 1 && !config_.detach;
}

torch::Tensor zero_origin(const Decoder& decoder, const torch::Tensor& images) {
  auto shape = decoder.latent_shape();
  shape.insert(shape.begin(), images.size(0));
  return torch::zeros(shape, decoder.parameters().flat().options().requires_grad(false));
}

double published_scale(DecoderKind decoder, std::int64_t batch_size, std::int64_t channels,
                       std::int64_t height, std::int64_t width) {
  const auto terms =
      decoder == DecoderKind::kSiren ? batch_size * channels : batch_size * height * width;
  return 1.0 / static_cast<double>(terms);
}

}  // namespace gondola
