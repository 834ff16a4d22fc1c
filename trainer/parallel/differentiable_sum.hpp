#pragma once

#include <torch/types.h>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Collective. The sum of `x` over the ranks, differentiable any number of times: with L the sum of
/// all ranks' losses, dL/dx on each rank is the sum of the ranks' dL/dy. nullptr: x itself.
[[nodiscard]] torch::Tensor all_reduce_sum_differentiable(const torch::Tensor& x,
                                                          Communicator* communicator);

}  // namespace gondola
