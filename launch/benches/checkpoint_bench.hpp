#pragma once

#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Measures what a checkpoint that is written beside training does to the steps: each repeat is a
/// run of steps from the copying of the state to the end of the writing, as many steps without a
/// checkpoint, and as many of which the first waits for the writing. In TMPDIR.
/// @return one JSON object (a line): bytes of the state, seconds of copy and writing, median and
/// 95th percentile of the step times of the three, and their ratios to those without.
[[nodiscard]] std::string bench_checkpoint(const RunConfig& config);

}  // namespace gondola
