#pragma once

#include <torch/types.h>

#include "configs/run_config.hpp"

namespace gondola {

/// x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. Under bf16 the product is
/// taken in bfloat16 and everything else stays in the dtype of x.
[[nodiscard]] torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight,
                                   const torch::Tensor& bias, Precision precision);

/// The dtype that parameters and images have under a precision: float64, or float32 (bf16: float32
/// master weights).
[[nodiscard]] torch::ScalarType storage_dtype(Precision precision);

}  // namespace gondola
