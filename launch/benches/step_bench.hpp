#pragma once

#include <torch/types.h>

#include <string>

#include "configs/run_config.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// Measures the training step of this program against ReferenceStep in one process: repeats
/// alternate, ratios are taken pair by pair. @return one JSON object (a line): images/s, seconds by
/// phase, rates of matrix products and who makes them, and the median and range of the ratios: to
/// the reference by wall clock, by processor time, and where both take ATen's matrix product; to a
/// step of the decoder alone, its latents given.
[[nodiscard]] std::string bench_step(const RunConfig& config, const ImageShape& shape,
                                     torch::Device device);

}  // namespace gondola
