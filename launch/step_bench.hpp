#pragma once

#include <string>

#include "configs/run_config.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// Measures the training step of this program against ReferenceStep in one process: repeats
/// alternate, the ratio is taken pair by pair. @return one JSON object (a line): images/s, seconds
/// by phase, the sgemm rate of this process, the ratios' median and range.
[[nodiscard]] std::string bench_step(const RunConfig& config, const ImageShape& shape);

}  // namespace gondola
