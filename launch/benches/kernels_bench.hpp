#pragma once

#include <torch/types.h>

#include <functional>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// How fast the operations between the products of a siren step are, in float32, against the same
/// written with ATen, in turn, config.bench.repeats times: on a CPU for each instruction set of
/// this processor, on one thread and one image, [784, 256], then the products of each library; on a
/// GPU on the images of a batch. One JSON object each.
void bench_kernels(const RunConfig& config, torch::Device device,
                   const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
