#pragma once

#include <torch/types.h>

#include <string>

#include "configs/run_config.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// Measures encoding at fixed weights (OriginMap) against one backward pass through the decoder for
/// each image, alternated in one process. @return one JSON object (a line): images/s, seconds to
/// make the map, the ratio of images/s pair by pair, the rate of the map's product as a share of
/// the best measured rate of matrix products, and the largest difference of the latents.
[[nodiscard]] std::string bench_encode(const RunConfig& config, const ImageShape& shape,
                                       torch::Device device);

}  // namespace gondola
