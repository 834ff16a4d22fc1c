#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/image_source.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// What a model is evaluated on: the images of one split.
struct EvaluationImages {
  const ImageSource& source;
  const ImageSource* targets = nullptr;  ///< Their other modality; translation only.
};

/// Collective. Prediction of the first `images` images (0: all), in id-ordered groups of
/// evaluation.group_images; a group is one rank's, so the result does not depend on the number of
/// ranks. Metrics are means over the images: those of the family (Objective::measure, "loss" among
/// them), "psnr", "ssim". The same on all ranks.
/// @param control a communicator for CPU tensors. @param progress its own, told that other ranks
/// may be at a group more than this one, however long a group takes. @throws DataError for a family
/// that learns classes where there are no labels
[[nodiscard]] EvalReport evaluate(const RunConfig& config, const Reconstructor& reconstructor,
                                  const EvaluationImages& on, const torch::TensorOptions& options,
                                  std::int64_t images, Communicator& control,
                                  CollectiveProgress& progress);

/// Whether a family learns from labels.
[[nodiscard]] bool learns_classes(Family family);

/// Labels of images [first, first + count): [count] int64 on the host. @throws DataError for a
/// label that is not one of `classes`
[[nodiscard]] torch::Tensor read_labels(const ImageSource& source, std::int64_t first,
                                        std::int64_t count, std::int64_t classes);

/// Reads images [first, first + count) of `source`: [count, C, H, W] u8 on the host.
[[nodiscard]] torch::Tensor read_pixels(const ImageSource& source, std::int64_t first,
                                        std::int64_t count);
/// Those of the given ids.
[[nodiscard]] torch::Tensor read_pixels(const ImageSource& source,
                                        std::span<const std::int64_t> ids);
/// Of those only the given row-major pixels: [ids.size(), C, pixels.size()].
[[nodiscard]] torch::Tensor read_pixels(const ImageSource& source,
                                        std::span<const std::int64_t> ids,
                                        std::span<const std::int64_t> pixels);

}  // namespace gondola
