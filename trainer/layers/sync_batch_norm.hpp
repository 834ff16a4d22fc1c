#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

inline constexpr double kBatchNormEpsilon = 1e-5;

/// The result of one normalisation with batch statistics.
struct BatchNormResult {
  torch::Tensor output;    ///< Like the input.
  torch::Tensor mean;      ///< [C], detached.
  torch::Tensor variance;  ///< [C], detached, unbiased: divided by n - 1.
};

/// Collective (unless `communicator` is nullptr: statistics of this rank's batch).
/// Batch normalisation over the batch and pixels of all ranks, y = gain (x - mean) / sqrt(var +
/// eps) + shift, with the biased variance taken in a second pass around the mean. Differentiable
/// twice: its backward pass is made of differentiable reductions when a graph is kept, and reduces
/// both sums in one all-reduce when not.
///
/// @param x [B, C, H, W], B may be 0 on some ranks. @param gain, shift [C].
/// Gradients of gain and shift are this rank's share: the all-reduce of the parameters' gradients
/// adds them.
[[nodiscard]] BatchNormResult sync_batch_norm(const torch::Tensor& x, const torch::Tensor& gain,
                                              const torch::Tensor& shift,
                                              Communicator* communicator);

}  // namespace gondola
