#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/evaluation/evaluate.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// The first images of a split (or what they are to become) and what the model makes of them, as
/// pictures of at most 512 pixels a side; the step is left to the caller.
/// @param group_images that share batch statistics, where images do.
/// @param options of the weights. @throws as reading the images does
[[nodiscard]] SampleReport sample_pictures(const Reconstructor& reconstructor,
                                           const EvaluationImages& images,
                                           std::int64_t group_images,
                                           const torch::TensorOptions& options);

}  // namespace gondola
