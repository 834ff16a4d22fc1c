#pragma once

#include <torch/types.h>

#include <cstdint>
#include <limits>
#include <string>

#include "data/batch_loader.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/objectives/objective.hpp"
#include "trainer/optimizer/flat_adam.hpp"

namespace gondola {

/// Running mean of the gradient's norms, as GradientBound has it.
struct UsualNorm {
  double mean = 0.0;
  std::int64_t steps = 0;  ///< Good steps that it is of.
};

/// How far a run is. The same on all ranks.
struct RunProgress {
  std::int64_t step = 0;                                       ///< Global steps done.
  Cursor cursor;                                               ///< The next global batch.
  double best_loss = std::numeric_limits<double>::infinity();  ///< Lowest held-out loss so far.
  std::int64_t best_step = 0;  ///< Where it was reached; 0: nowhere.
  UsualNorm usual_norm{};      ///< Where trainer.outlier_factor is set.
};

/// Everything that a checkpoint keeps, by reference to where it lives. Replicated on every rank;
/// random draws are keyed by (seed, step, id), so that the step and the config's seed are the whole
/// state of the random numbers.
struct TrainingState {
  Decoder& decoder;
  Objective& objective;
  FlatAdam& optimizer;
  torch::Tensor& average;     ///< Exponential moving average of the flat weights [P], or undefined.
  torch::Tensor& mean_image;  ///< Mean training image [1, C, H, W], the dtype of the weights.
  RunProgress& progress;
};

/// What a checkpoint says about the run that wrote it.
struct CheckpointOrigin {
  std::string config_ini;     ///< The effective config.
  std::int64_t world = 1;     ///< Ranks.
  std::uint64_t dataset = 0;  ///< Fingerprint of the training images.
};

}  // namespace gondola
