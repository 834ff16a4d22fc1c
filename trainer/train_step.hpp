#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/objectives/gon.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/parallel/gradient_reducer.hpp"
#include "trainer/phase_timer.hpp"

namespace gondola {

/// What is trained, replicated on every rank.
struct TrainedState {
  Decoder& decoder;
  FlatAdam& optimizer;
  torch::Tensor& average;  ///< Exponential moving average of the flat weights [P], or undefined.
};

/// This rank's sums of one step, on the device; the caller reduces and reads them when it needs
/// them.
struct StepResult {
  torch::Tensor sums;  ///< [3] float64: outer loss, inner loss, squared norms of the latents.
  torch::Tensor gradient_norm;  ///< 0-dim: norm of the mean gradient, the same on all ranks.
  torch::Tensor skipped;        ///< 0-dim float32: 1 when the update was skipped as non-finite.
  std::int64_t bytes_reduced = 0;
};

/// One optimiser step: encode, decode, backward, all-reduce, update (DESIGN "One step").
class TrainStep {
 public:
  TrainStep(const RunConfig& config, const ImageShape& shape, TrainedState state,
            Communicator& communicator, PhaseTimer& timer);

  /// Collective. @param pixels [B, C, H, W] u8 (or float32, these divided by 255) on the host or
  /// the device, this rank's part of the global batch; B may be 0.
  /// @param ids global image ids, [B]. @param step global step, from 1: keys the random origins.
  [[nodiscard]] StepResult run(const torch::Tensor& pixels, std::span<const std::int64_t> ids,
                               std::int64_t step, double learning_rate);

 private:
  [[nodiscard]] torch::Tensor batch_mean(const torch::Tensor& pixels);
  [[nodiscard]] std::int64_t batch_norm_images(std::int64_t own) const;
  [[nodiscard]] torch::Tensor accumulate_gradient(const EncoderInput& input);
  void update(StepResult& result, double learning_rate);

  const RunConfig& config_;
  TrainedState state_;
  Communicator& communicator_;
  PhaseTimer& timer_;
  LatentEncoder encoder_;
  GonObjective objective_;
  GradientReducer reducer_;
  std::vector<PassStatistics> statistics_;  ///< Of the outer passes of the current step.
  double outer_scale_;
};

}  // namespace gondola
