#pragma once

#include <torch/types.h>

namespace gondola {

/// FLOP/s of the fastest matrix product with this type on this device, best of several and of the
/// libraries of matrix_product.hpp: of a SIREN's layer on a CPU (784x256x256, with ATen's threads,
/// tens of milliseconds), of 4096x4096x4096 on a GPU.
[[nodiscard]] double measure_matmul_rate(const torch::TensorOptions& options);

}  // namespace gondola
