#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>

#include "configs/run_config.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Whether trainer.matmul says anything to a model on this device: a siren of sines or a
/// convolutional decoder in float32 on a CPU.
[[nodiscard]] bool has_matmul_choice(const RunConfig& config, torch::Device device);

/// Collective. What trainer.matmul = auto comes to: what it has been in the run of the checkpoint
/// `resume_from`; else the faster library as rank 0 measures it, or ATen where there is no choice
/// or parallel.deterministic forbids to measure.
[[nodiscard]] Matmul choose_matmul(const RunConfig& config, torch::Device device,
                                   const std::optional<std::filesystem::path>& resume_from,
                                   Communicator& control);

}  // namespace gondola
