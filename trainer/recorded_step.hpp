#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/device_graph.hpp"
#include "trainer/latent/random_origin.hpp"
#include "trainer/step_data.hpp"

namespace gondola {

/// Noise that is always in the same tensors, one for each purpose that was asked for.
class FixedNoise {
 public:
  /// Draws every tensor anew.
  void draw(Noise noise);
  /// REQUIRES draw(). Lives as long as this.
  [[nodiscard]] Noise noise();

 private:
  Noise drawn_;
  std::map<std::string, torch::Tensor, std::less<>> kept_;
};

/// A training step of one shape as two device graphs, its gradient and its update; between them,
/// where the ranks reduce the gradient, the host can see what they do. Its inputs are copied to
/// where the graphs read them. The first steps are rehearsed, the next one is recorded.
class RecordedStep {
 public:
  explicit RecordedStep(const MakeDeviceGraph& make);

  /// What the graphs read and write.
  struct Inputs {
    StepInput step;                 ///< On the device; without ids, which noise was drawn for.
    std::vector<FixedNoise> noise;  ///< Of each part of the batch.
    torch::Tensor learning_rate;    ///< 0-dim
    torch::Tensor gradient_norm;    ///< 0-dim, set between the graphs.
    StepResult result;              ///< Written by the graphs.
  };
  /// Copies a step's input; its shapes are always those of the first.
  /// @param noise of each part of the batch. @param options of the parameters
  Inputs& take(const StepInput& input, std::vector<Noise> noise, double learning_rate,
               const torch::TensorOptions& options);

  /// Each with the same work in every step, which sees inputs alone. REQUIRES take()
  void gradient(const std::function<void()>& work) { run(*gradient_, work); }
  void update(const std::function<void()>& work);

  /// The result in tensors of its own, which the next replay leaves alone.
  [[nodiscard]] StepResult copy_of_result() const;

 private:
  void run(DeviceGraph& graph, const std::function<void()>& work) const;

  std::unique_ptr<DeviceGraph> gradient_;
  std::unique_ptr<DeviceGraph> update_;
  Inputs inputs_;
  std::int64_t steps_ = 0;  ///< That were run.
};

}  // namespace gondola
