#pragma once

#include <cstdint>
#include <string>

#include "data/image_source.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// Collective. Reconstruction of the first `images` images of `source` (0: all), in id-ordered
/// groups of evaluation.group_images; a group is one rank's, so the result does not depend on the
/// number of ranks. Metrics are means over the images: "loss" (squared error summed over C, H, W),
/// "psnr", "ssim". The same on all ranks.
/// @param control a communicator for CPU tensors.
[[nodiscard]] EvalReport evaluate(const RunConfig& config, const Reconstructor& reconstructor,
                                  const ImageSource& source, const torch::TensorOptions& options,
                                  std::int64_t images, Communicator& control);

/// Reads images [first, first + count) of `source`: [count, C, H, W] u8 on the host.
[[nodiscard]] torch::Tensor read_pixels(const ImageSource& source, std::int64_t first,
                                        std::int64_t count);

}  // namespace gondola
