#pragma once

#include <torch/types.h>

#include "configs/run_config.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// The inner pass that gon, translation, classifier and joint have in common: the squared error of
/// the decoder's images is descended from the origin.
class GonEncoding {
 public:
  /// @param latent its path resolved. @param step_size resolved. @param decoder outlives this.
  GonEncoding(const LatentSection& latent, double step_size, Decoder& decoder)
      : encoder_(latent, step_size), origin_stddev_(latent.origin_stddev), decoder_(decoder) {}

  [[nodiscard]] Encoding encode(const ObjectiveBatch& batch, LatentEncoder::Graph graph,
                                const Pass& pass) const {
    EncoderInput input{.images = batch.images,
                       .mean_image = batch.mean_image,
                       .global_images = batch.global_images,
                       .origin = {}};
    if (origin_stddev_ > 0) input.origin = origin_stddev_ * batch.noise("origin");
    return encoder_.encode(decoder_, input, graph, pass);
  }

  /// Whether a training pass may be given a Pass::reduction.
  [[nodiscard]] bool is_one_shared_step() const {
    return origin_stddev_ == 0 && encoder_.is_one_shared_step(decoder_);
  }

 private:
  LatentEncoder encoder_;
  double origin_stddev_;
  Decoder& decoder_;
};

}  // namespace gondola
