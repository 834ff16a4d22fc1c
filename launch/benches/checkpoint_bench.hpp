#pragma once

#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Measures what a checkpoint that is written behind the steps does to them: each repeat is ten
/// steps of which the first begins a checkpoint, ten without one, and ten of which the first waits
/// for it. In TMPDIR.
/// @return one JSON object (a line): bytes of the state, seconds of copy and writing, median and
/// 95th percentile of the step times of the three and of the steps beside the writing alone, and
/// their ratios to those without.
[[nodiscard]] std::string bench_checkpoint(const RunConfig& config);

}  // namespace gondola
