#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "data/image_source.hpp"
#include "launch/trained_model.hpp"

namespace gondola {

/// The latents of the first `images` images of a source (0: all), in id-ordered groups.
/// [N, k(, s, s)] float32 on the host
[[nodiscard]] torch::Tensor encode_images(TrainedModel& model, const ImageSource& source,
                                          std::int64_t images);

/// Values of any device and type, in order, as pictures take them.
[[nodiscard]] std::vector<float> host_values(const torch::Tensor& images);

}  // namespace gondola
