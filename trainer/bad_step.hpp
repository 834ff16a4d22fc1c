#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/batch_loader.hpp"

namespace gondola {

/// What was wrong with a step, from what is not finite first to what is so only because of it.
enum class Trouble { kWeights, kLoss, kGradient, kBound };

/// A step whose update was skipped. The same on all ranks.
struct BadStep {
  std::int64_t step = 0;
  Cursor cursor{};            ///< Of its batch.
  std::int64_t in_a_row = 1;  ///< Bad steps up to this one, without a good one between them.
  Trouble trouble = Trouble::kGradient;
  double gradient_norm = 0.0;
  std::vector<int> ranks{};  ///< Whose weights (kWeights), or own gradients, are not finite.
  std::vector<std::int64_t> positions{};  ///< In the batch, of images whose loss is not finite.
  std::vector<std::int64_t> ids{};        ///< Of the whole global batch.
  std::int64_t world = 1;                 ///< Ranks.

  /// "the loss of image 17 is not finite"
  [[nodiscard]] std::string in_words() const;
};

/// "image 17", "images 3, 17"; longer lists than eight end in "and N more".
[[nodiscard]] std::string name_images(const std::vector<std::int64_t>& ids);

}  // namespace gondola
