#pragma once

#include <torch/types.h>

#include "trainer/decoders/decoder.hpp"
#include "trainer/latent/latent_encoder.hpp"

namespace gondola {

/// The outer loss of a batch, with its graph.
struct OuterLoss {
  torch::Tensor per_image;  ///< [B], squared error of F(z_b), differentiable in the parameters.
};

/// The objective of the `gon` family (eq. 8 and 12): images are reconstructed from their encoding.
class GonObjective {
 public:
  /// Collective where decode() is. @param latents with the graph to differentiate through.
  [[nodiscard]] OuterLoss outer(Decoder& decoder, const torch::Tensor& latents,
                                const torch::Tensor& images, const Pass& pass) const;
};

}  // namespace gondola
