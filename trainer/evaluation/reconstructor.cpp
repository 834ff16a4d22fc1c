#include "trainer/evaluation/reconstructor.hpp"

#include <ATen/core/grad_mode.h>

#include <numeric>
#include <utility>
#include <vector>

#include "trainer/latent/random_origin.hpp"

namespace gondola {

Reconstructor::Reconstructor(const RunConfig& config, Decoder& decoder, Objective& objective,
                             torch::Tensor mean_image)
    : config_(config),
      decoder_(decoder),
      objective_(objective),
      mean_image_(std::move(mean_image)),
      coupled_(decoder.couples_images(Normalisation::kGroup)),
      independent_(!coupled_ ||
                   (!objective.needs_a_batch_at_origin() &&
                    config.evaluation.statistics == EvaluationStatistics::kIndependent &&
                    config.latent.steps == 1 && config.latent.origin_stddev == 0)) {
  TORCH_CHECK(!coupled_ || mean_image_.defined(), "batch norm needs the training set's mean image");
}

ObjectiveBatch Reconstructor::batch_of(const torch::Tensor& images,
                                       std::span<const std::int64_t> ids) const {
  ObjectiveBatch batch;
  batch.images = images;
  batch.global_images = images.size(0);
  if (coupled_) batch.mean_image = independent_ ? mean_image_ : images.mean(0, /*keepdim=*/true);
  batch.noise = keyed_noise(decoder_.latent_shape(), ids, config_.run.seed, "evaluation ",
                            /*step=*/0, images.options());
  return batch;
}

Pass Reconstructor::decoding_pass() const {
  return {.normalisation = independent_ ? Normalisation::kRunning : Normalisation::kGroup};
}

torch::Tensor Reconstructor::encode(const torch::Tensor& images,
                                    std::span<const std::int64_t> ids) const {
  const auto pass = objective_.encodes_at_origin() ? Pass{.normalisation = Normalisation::kGroup}
                                                   : decoding_pass();
  return objective_.encode(batch_of(images, ids), pass);
}

torch::Tensor Reconstructor::decode(const torch::Tensor& latents,
                                    const Coordinates* coordinates) const {
  auto pass = decoding_pass();
  pass.coordinates = coordinates;
  return objective_.decode(latents, pass);
}

Prediction Reconstructor::reconstruct(const torch::Tensor& images,
                                      std::span<const std::int64_t> ids) const {
  Prediction result;
  result.latents = encode(images, ids);
  result.images = decode(result.latents);
  return result;
}

torch::Tensor Reconstructor::sample_prior(std::int64_t count, std::uint64_t seed) const {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  const auto normal = random_origins(decoder_.latent_shape(), numbers, /*stddev=*/1, seed, "sample",
                                     /*step=*/0, decoder_.parameters().flat().options());
  // What is drawn shares no statistics: each draw is an image by itself.
  return objective_.decode_prior(normal, {.normalisation = Normalisation::kRunning});
}

std::map<std::string, torch::Tensor> Reconstructor::measure(
    const Prediction& prediction, const torch::Tensor& images, const torch::Tensor& targets,
    const torch::Tensor& labels, std::span<const std::int64_t> ids) const {
  auto batch = batch_of(images, ids);
  batch.targets = targets;
  batch.labels = labels;
  return objective_.measure(prediction, batch, decoding_pass());
}

std::string Reconstructor::description() const {
  if (!coupled_) return "each image by itself";
  if (independent_ && !objective_.encodes_at_origin()) {
    return "each image by itself: running averages throughout";
  }
  if (independent_) {
    return "each image by itself: mean training image at the origin, running averages in the "
           "decoder";
  }
  return "batch statistics of id-ordered groups of " +
         std::to_string(config_.evaluation.group_images) +
         " images: an image's latent depends on its group";
}

}  // namespace gondola
