#pragma once

#include <torch/types.h>

#include "trainer/latent/latent_encoder.hpp"

namespace gondola {

using Graph = LatentEncoder::Graph;

inline constexpr Pass kGroupPass = {.normalisation = Normalisation::kGroup};

inline EncoderInput input_of(const torch::Tensor& images) {
  return {.images = images,
          .mean_image = images.mean(0, /*keepdim=*/true),
          .global_images = images.size(0),
          .origin = {}};
}

inline Encoding encode(Decoder& decoder, const LatentSection& config, const EncoderInput& input,
                       Graph graph = Graph::kDrop) {
  return LatentEncoder(config, config.step_size).encode(decoder, input, graph, kGroupPass);
}

}  // namespace gondola
