#pragma once

#include <torch/types.h>

namespace gondola {

/// Squared error summed over everything but the batch: two tensors [B, ...] -> [B].
[[nodiscard]] torch::Tensor squared_error_per_image(const torch::Tensor& prediction,
                                                    const torch::Tensor& target);

}  // namespace gondola
