#pragma once

#include <torch/types.h>

#include "trainer/layers/sync_batch_norm.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// As sync_batch_norm(), with an ELU behind it: three passes over the images in place of six, two
/// in place of nine backward, and three where a backward pass that kept a graph is differentiated,
/// which can be done once. Channels come out last in memory. REQUIRES is_cpu_floats(x).
[[nodiscard]] BatchNormResult batch_norm_elu(const torch::Tensor& x, const torch::Tensor& gain,
                                             const torch::Tensor& shift,
                                             Communicator* communicator);

}  // namespace gondola
