#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/objectives/objective.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// What a model is made for.
struct ModelUse {
  ImageShape shape;
  torch::Device device = torch::kCPU;
  /// Of the ranks that share a batch, for synchronised batch norm; nullptr: this rank alone.
  /// Outlives the model.
  Communicator* communicator = nullptr;
  /// Images it is trained on; 0: it is not trained.
  std::int64_t training_images = 0;
};

/// A model of one family: its decoder, and the objective with whatever else the family has, which
/// all declare their tensors in one set of parameters.
struct Model {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Objective> objective;

  [[nodiscard]] Parameters& parameters() const { return decoder->parameters(); }
};

/// The model that a config describes, with weights drawn from run.seed: the same on all ranks.
/// @throws ConfigError for an image size that the decoder cannot make
[[nodiscard]] Model make_model(const RunConfig& config, const ModelUse& use);

/// Has a decoder multiply matrices as `trainer.matmul` says; auto: by ATen.
/// @throws ConfigError where this libtorch does not have that library
void set_matmul(Decoder& decoder, const TrainerSection& trainer);

/// The decoder of such a model alone, without what its family has beside it.
[[nodiscard]] std::unique_ptr<Decoder> make_decoder(const RunConfig& config,
                                                    const ImageShape& shape, torch::Device device,
                                                    Communicator* communicator);

/// latent.step_size, or the published scale where it is auto: 1/B for variational families, else
/// published_scale().
[[nodiscard]] double resolved_step_size(const RunConfig& config, const ImageShape& shape);

/// The latent section of a run, whose path says what auto comes to for its global batch.
[[nodiscard]] LatentSection resolved_latent(const RunConfig& config, const ImageShape& shape);

/// How latents are found, and why not by the shared origin, for people.
[[nodiscard]] std::string path_in_words(const RunConfig& config, const ImageShape& shape);

/// u8 pixels [B, C, H, W] -> values in [0, 1] of `dtype` on `device`.
[[nodiscard]] torch::Tensor to_values(const torch::Tensor& pixels, torch::ScalarType dtype,
                                      torch::Device device);

}  // namespace gondola
