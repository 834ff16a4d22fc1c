#pragma once

#include <cstdint>

#include "launch/benches/one_rank.hpp"
#include "trainer/model.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/phase_timer.hpp"
#include "trainer/train_step.hpp"

namespace gondola {

/// A model in training on one rank, for measurements: what is timed is the program's own step.
class BenchTrainee {
 public:
  /// @param ranks that share each batch, and outlive this object; nullptr: this one alone.
  BenchTrainee(const RunConfig& config, const ImageShape& shape, Communicator* ranks = nullptr,
               torch::Device device = torch::kCPU)
      : config_(config),
        ranks_(ranks != nullptr ? *ranks : one_),
        timer_(progress_),
        model_(make_model(config_, {.shape = shape, .device = device, .communicator = &ranks_})),
        optimizer_(config_.optimizer, model_.parameters().flat().numel(),
                   model_.parameters().flat().options()),
        step_(config_,
              {.decoder = *model_.decoder,
               .objective = *model_.objective,
               .optimizer = optimizer_,
               .average = no_average_},
              ranks_, timer_,
              config.trainer.cuda_graph ? device_graphs(device) : MakeDeviceGraph()) {}

  /// The next step, done when this returns.
  void step(const StepInput& input, double learning_rate) {
    (void)step_.run(input, ++number_, learning_rate).sums.sum().item<double>();
  }

  [[nodiscard]] bool overlaps() const { return step_.overlaps(); }
  [[nodiscard]] const RunConfig& config() const { return config_; }
  [[nodiscard]] Decoder& decoder() const { return *model_.decoder; }
  [[nodiscard]] Objective& objective() const { return *model_.objective; }
  [[nodiscard]] Parameters& parameters() const { return model_.parameters(); }
  [[nodiscard]] FlatAdam& optimizer() { return optimizer_; }
  [[nodiscard]] PhaseTimer& timer() { return timer_; }

 private:
  RunConfig config_;
  OneRank one_;
  Communicator& ranks_;
  CollectiveProgress progress_;
  PhaseTimer timer_;
  Model model_;
  FlatAdam optimizer_;
  torch::Tensor no_average_;
  TrainStep step_;
  std::int64_t number_ = 0;
};

}  // namespace gondola
