#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/coordinates/coordinate_draws.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/gradient_bound.hpp"
#include "trainer/objectives/objective.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/parallel/gradient_reducer.hpp"
#include "trainer/parallel/overlapped_reduction.hpp"
#include "trainer/phase_timer.hpp"

namespace gondola {

/// What is trained, replicated on every rank.
struct TrainedState {
  Decoder& decoder;
  Objective& objective;
  FlatAdam& optimizer;
  torch::Tensor& average;  ///< Exponential moving average of the flat weights [P], or undefined.
};

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

/// One optimiser step: encode, decode, backward, all-reduce, update (DESIGN "One step").
///
/// Where all images share their pass through the origin, most of the all-reduce lies behind the
/// last part of the backward pass (OverlappedReduction). Every rank then computes that part of all
/// ranks' images by itself, of which the first time is checked: where processors come to other
/// bits, rank 0's are taken, and the gradient is reduced as a whole from then on.
class TrainStep {
 public:
  TrainStep(const RunConfig& config, TrainedState state, Communicator& communicator,
            PhaseTimer& timer);

  /// Collective. @param step global step, from 1: keys what is random.
  [[nodiscard]] StepResult run(const StepInput& input, std::int64_t step, double learning_rate);

  [[nodiscard]] GradientBound& bound() { return bound_; }

  /// Whether steps overlap their all-reduce with computation; the same on all ranks.
  [[nodiscard]] bool overlaps() const { return overlaps_; }

 private:
  [[nodiscard]] torch::Tensor batch_mean(const torch::Tensor& pixels);
  [[nodiscard]] std::int64_t batch_norm_images(std::int64_t own) const;
  [[nodiscard]] torch::Tensor taken(const torch::Tensor& pixels) const;
  [[nodiscard]] ObjectiveBatch batch_of(const StepInput& input, const StepView& view);
  void make_gradient(const StepInput& input, const StepView& view, std::int64_t step,
                     StepResult& result);
  [[nodiscard]] Losses accumulate_gradient(const ObjectiveBatch& batch,
                                           const StepCoordinates& coordinates,
                                           OverlappedReduction* reduction, StepResult& result);
  [[nodiscard]] torch::Tensor origin_part(const Losses& losses) const;
  void agree_on(torch::Tensor& origin, StepResult& result);
  void update(StepResult& result, double learning_rate);

  const RunConfig& config_;
  TrainedState state_;
  Communicator& communicator_;
  PhaseTimer& timer_;
  GradientReducer reducer_;
  GradientBound bound_;
  bool overlaps_;
  bool compared_ = false;                   ///< Whether ranks have compared their origin parts.
  std::vector<PassStatistics> statistics_;  ///< Of the outer passes of the current step.
};

}  // namespace gondola
