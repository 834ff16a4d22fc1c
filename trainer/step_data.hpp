#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trainer/coordinates/coordinate_draws.hpp"

namespace gondola {

/// What the passes of a step see of their images.
struct StepView {
  torch::Tensor pixels;           ///< [B, C, H, W] u8, or float32, these divided by 255; or, of
                                  ///< images read in part, [B, C, K] as values_at() takes them.
  torch::Tensor target_pixels{};  ///< As pixels: translation only.
  StepCoordinates coordinates{};
};

/// This rank's part of a global batch, on the host or the device. B images; may be 0.
struct StepInput {
  StepView view;                           ///< What is trained with.
  std::vector<StepView> others{};          ///< More draws of coordinates, to measure the spread.
  std::span<const std::int64_t> ids{};     ///< Global image ids, [B]: they key what is random.
  torch::Tensor labels{};                  ///< [B] int64, where the family learns classes.
  std::vector<std::int64_t> global_ids{};  ///< Of the whole global batch; glo only.
  std::int64_t first = 0;                  ///< Where this rank's images begin among them.
};

/// This rank's sums of one step, on the device; the caller reduces and reads them when it needs
/// them.
struct StepResult {
  torch::Tensor sums;  ///< [3] float64: outer loss, inner loss, squared norms of the latents.
  std::map<std::string, torch::Tensor> parts;  ///< Losses::parts summed, 0-dim float64 each.
  torch::Tensor gradient_norm;  ///< 0-dim: norm of the mean gradient, the same on all ranks.
  torch::Tensor spread;         ///< 0-dim, or undefined where no other draws were given.
  /// 0-dim float32: 1 when the update was skipped, the loss or the gradient of some rank not being
  /// finite, or the norm out of bounds. The same on all ranks.
  torch::Tensor skipped;
  std::vector<torch::Tensor> image_losses;  ///< Of this rank's images, in their order: [B] in all.
  torch::Tensor own_sum;  ///< 0-dim: sum of this rank's gradient, finite where the gradient is.
  std::int64_t bytes_reduced = 0;
  std::string warning;  ///< What people should hear of, the same on all ranks; or empty.
};

}  // namespace gondola
