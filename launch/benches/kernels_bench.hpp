#pragma once

#include <functional>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// How fast the loops and the matrix products of a siren step are on one thread, in float32: each
/// loop for each instruction set of this processor on a block of one image, [784, 256], against the
/// same written with ATen, in turn, config.bench.repeats times; then each library's products. One
/// JSON object each.
void bench_kernels(const RunConfig& config,
                   const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
