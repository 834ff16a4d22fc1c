#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/device_graph.hpp"
#include "trainer/gradient_bound.hpp"
#include "trainer/objectives/objective.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/parallel/gradient_reducer.hpp"
#include "trainer/parallel/overlapped_reduction.hpp"
#include "trainer/phase_timer.hpp"
#include "trainer/recorded_step.hpp"
#include "trainer/step_data.hpp"

namespace gondola {

/// What is trained, replicated on every rank.
struct TrainedState {
  Decoder& decoder;
  Objective& objective;
  FlatAdam& optimizer;
  torch::Tensor& average;  ///< Exponential moving average of the flat weights [P], or undefined.
};

/// One optimiser step: encode, decode, backward, all-reduce, update (DESIGN "One step").
///
/// Where all images share their pass through the origin, most of the all-reduce lies behind the
/// last part of the backward pass (OverlappedReduction). Every rank then computes that part of all
/// ranks' images by itself, of which the first time is checked: where processors come to other
/// bits, rank 0's are taken, and the gradient is reduced as a whole from then on.
///
/// With trainer.cuda_graph a step is replayed from device graphs, but those that measure the
/// spread.
class TrainStep {
 public:
  /// @param graphs of the device: empty but for trainer.cuda_graph.
  TrainStep(const RunConfig& config, TrainedState state, Communicator& communicator,
            PhaseTimer& timer, const MakeDeviceGraph& graphs = {});

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
  [[nodiscard]] std::vector<Noise> noise_of(const StepInput& input, std::int64_t step) const;
  Losses own_gradient(const ObjectiveBatch& batch, const StepCoordinates& coordinates,
                      const std::vector<Noise>& noise, OverlappedReduction* reduction,
                      StepResult& result);
  void reduce_gradient(StepResult& result);
  void make_gradient(const StepInput& input, const StepView& view, std::int64_t step,
                     StepResult& result);
  [[nodiscard]] Losses accumulate_gradient(const ObjectiveBatch& batch,
                                           const StepCoordinates& coordinates,
                                           OverlappedReduction* reduction, StepResult& result);
  [[nodiscard]] torch::Tensor origin_part(const Losses& losses) const;
  void agree_on(torch::Tensor& origin, StepResult& result);
  void finish_gradient(StepResult& result);
  void update(StepResult& result, const torch::Tensor& learning_rate);
  [[nodiscard]] StepResult run_recorded(const StepInput& input, std::int64_t step,
                                        double learning_rate);

  const RunConfig& config_;
  TrainedState state_;
  Communicator& communicator_;
  PhaseTimer& timer_;
  GradientReducer reducer_;
  GradientBound bound_;
  bool overlaps_;
  bool compared_ = false;                   ///< Whether ranks have compared their origin parts.
  std::vector<PassStatistics> statistics_;  ///< Of the outer passes of the current step.
  std::optional<RecordedStep> recorded_;
};

}  // namespace gondola
