#pragma once

#include <cstdint>

#include "configs/run_config.hpp"

namespace gondola {

/// The rate of global step `step` (from 1) of `total_steps`: a linear warm-up over
/// optimizer.warmup_steps, then constant or half a cosine down to optimizer.final_fraction of the
/// rate at the last step.
[[nodiscard]] double learning_rate_at(const OptimizerSection& config, std::int64_t step,
                                      std::int64_t total_steps);

}  // namespace gondola
