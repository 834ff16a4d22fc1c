#include "trainer/evaluation/reconstructor.hpp"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "trainer/latent/random_origin.hpp"
#include "trainer/model.hpp"

namespace gondola {

Reconstructor::Reconstructor(const RunConfig& config, const ImageShape& shape, Decoder& decoder,
                             torch::Tensor mean_image)
    : config_(config),
      decoder_(decoder),
      mean_image_(std::move(mean_image)),
      encoder_(config.latent, resolved_step_size(config, shape)),
      coupled_(decoder.couples_images(Normalisation::kGroup)),
      independent_(!coupled_ ||
                   (config.evaluation.statistics == EvaluationStatistics::kIndependent &&
                    config.latent.steps == 1 && config.latent.origin_stddev == 0)) {
  TORCH_CHECK(!coupled_ || mean_image_.defined(), "batch norm needs the training set's mean image");
}

torch::Tensor Reconstructor::encode(const torch::Tensor& images,
                                    std::span<const std::int64_t> ids) const {
  EncoderInput input{
      .images = images, .mean_image = {}, .global_images = images.size(0), .origin = {}};
  if (coupled_) input.mean_image = independent_ ? mean_image_ : images.mean(0, /*keepdim=*/true);
  if (config_.latent.origin_stddev > 0) {
    input.origin =
        random_origins(decoder_.latent_shape(), ids, config_.latent.origin_stddev, config_.run.seed,
                       "evaluation origin", /*step=*/0, images.options());
  }
  return encoder_
      .encode(decoder_, input, LatentEncoder::Graph::kDrop,
              {.normalisation = Normalisation::kGroup})
      .latents;
}

torch::Tensor Reconstructor::decode(const torch::Tensor& latents,
                                    const Coordinates* coordinates) const {
  const at::NoGradGuard no_grad;
  return decoder_.decode(
      latents, {.normalisation = independent_ ? Normalisation::kRunning : Normalisation::kGroup,
                .coordinates = coordinates});
}

Reconstruction Reconstructor::reconstruct(const torch::Tensor& images,
                                          std::span<const std::int64_t> ids) const {
  Reconstruction result;
  result.latents = encode(images, ids);
  result.images = decode(result.latents);
  return result;
}

std::string Reconstructor::description() const {
  if (!coupled_) return "each image by itself";
  if (independent_) {
    return "each image by itself: mean training image at the origin, running averages in the "
           "decoder";
  }
  return "batch statistics of id-ordered groups of " +
         std::to_string(config_.evaluation.group_images) +
         " images: an image's latent depends on its group";
}

}  // namespace gondola
