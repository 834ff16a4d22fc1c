#pragma once

#include <torch/types.h>

#include "trainer/layers/sync_batch_norm.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Whether there is a batch_norm_elu() for such a tensor: on the CPU, in float32 and float64.
[[nodiscard]] bool has_batch_norm_elu(const torch::Tensor& x);

/// As sync_batch_norm(), with an ELU behind it: three passes over the images in place of six, and
/// two in place of nine backward. A backward pass that keeps a graph makes both anew by ATen's
/// operators. Channels come out last in memory. REQUIRES has_batch_norm_elu(x).
[[nodiscard]] BatchNormResult batch_norm_elu(const torch::Tensor& x, const torch::Tensor& gain,
                                             const torch::Tensor& shift,
                                             Communicator* communicator);

}  // namespace gondola
