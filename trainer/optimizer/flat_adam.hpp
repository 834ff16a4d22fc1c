#pragma once

#include <torch/types.h>

#include "configs/run_config.hpp"

namespace gondola {

/// Adam on one flat parameter buffer: one fused kernel, the step counter lives on the device.
class FlatAdam {
 public:
  /// @param size parameters. @param options dtype and device of the buffer.
  FlatAdam(const OptimizerSection& config, std::int64_t size, const torch::TensorOptions& options);

  /// parameters <- parameters - update(gradient), in place; nothing changes where `skip` (0-dim
  /// float32: 0 or 1) is 1. @param learning_rate 0-dim, on the host or, float32, on the GPU.
  void step(torch::Tensor& parameters, torch::Tensor& gradient, const torch::Tensor& learning_rate,
            const torch::Tensor& skip);

  /// State, to be saved and restored in place: moments [P] and the number of updates done, 0-dim
  /// float32.
  [[nodiscard]] torch::Tensor& first_moment() { return first_moment_; }
  [[nodiscard]] torch::Tensor& second_moment() { return second_moment_; }
  [[nodiscard]] torch::Tensor& updates() { return updates_; }

 private:
  OptimizerSection config_;
  torch::Tensor first_moment_;
  torch::Tensor second_moment_;
  torch::Tensor updates_;
};

}  // namespace gondola
