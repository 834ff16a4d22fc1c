#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/checkpoint/training_state.hpp"
#include "trainer/parameters.hpp"

namespace gondola {

/// What Objective::gather_state() gave.
using FamilyState = std::map<std::string, torch::Tensor>;

/// What a checkpoint keeps, in host memory. P parameters, C channels, H x W pixels.
struct StateSnapshot {
  const Parameters* layout = nullptr;  ///< Names and places in the flat tensors: they never change.
  torch::Tensor weights;               ///< [P]
  torch::Tensor first_moment;          ///< [P]
  torch::Tensor second_moment;         ///< [P]
  torch::Tensor average;               ///< [P], or undefined.
  torch::Tensor mean_image;            ///< [1, C, H, W]
  std::vector<RunningAverages> running_averages{};
  double updates = 0.0;
  RunProgress progress;
  FamilyState family;
};

/// Shares the memory of what is on the host already: good until the next step.
[[nodiscard]] StateSnapshot view_of(const TrainingState& state, FamilyState family);

/// Copies the state into `snapshot`, whose memory is used again where it is of the same model:
/// making new pages costs more than the copy. What lies in `family` is taken over.
void copy_state(const TrainingState& state, FamilyState family, StateSnapshot& snapshot);

}  // namespace gondola
