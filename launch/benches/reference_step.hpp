#pragma once

#include <torch/types.h>

#include <memory>

#include "configs/run_config.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// The GON step as one would write it with libtorch's modules alone: double backward,
/// torch::optim::Adam, ATen's own matrix product. What `gondola bench step` measures the program
/// against; shares no code with it.
class ReferenceStep {
 public:
  /// Random weights of the model that the config describes (one latent step, size 1 latents, batch
  /// norm as in training).
  ReferenceStep(const RunConfig& config, const ImageShape& shape, torch::Device device);
  ~ReferenceStep();
  ReferenceStep(const ReferenceStep&) = delete;
  ReferenceStep& operator=(const ReferenceStep&) = delete;

  /// One optimiser step on images [B, C, H, W] in [0, 1]. @return squared error per image.
  double run(const torch::Tensor& images);

 private:
  struct Model;
  std::unique_ptr<Model> model_;
};

}  // namespace gondola
