#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// The decoder that a config describes, with weights drawn from run.seed: the same on all ranks.
/// @param communicator of the ranks that share a batch, for synchronised batch norm; nullptr: this
/// rank alone. Must outlive the decoder. @throws ConfigError for an image size that the decoder
/// cannot make.
[[nodiscard]] std::unique_ptr<Decoder> make_decoder(const RunConfig& config,
                                                    const ImageShape& shape, torch::Device device,
                                                    Communicator* communicator);

/// latent.step_size, or the published scale where it is auto.
[[nodiscard]] double resolved_step_size(const RunConfig& config, const ImageShape& shape);

/// The latent section of a run, whose path says what auto comes to for its global batch.
[[nodiscard]] LatentSection resolved_latent(const RunConfig& config, const ImageShape& shape);

/// How the inner pass is computed, and why not by the shared origin, for people.
[[nodiscard]] std::string path_in_words(const RunConfig& config, const ImageShape& shape);

/// What the sum of the outer loss is multiplied with before the weights' gradient is taken: the
/// published scale.
[[nodiscard]] double outer_scale(const RunConfig& config, const ImageShape& shape);

/// u8 pixels [B, C, H, W] -> values in [0, 1] of `dtype` on `device`.
[[nodiscard]] torch::Tensor to_values(const torch::Tensor& pixels, torch::ScalarType dtype,
                                      torch::Device device);

}  // namespace gondola
