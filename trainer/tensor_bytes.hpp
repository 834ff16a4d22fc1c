#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

namespace gondola {

/// The bytes of a contiguous tensor on the host; none of one that is not defined.
[[nodiscard]] inline std::span<const std::uint8_t> bytes_of(const torch::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {static_cast<const std::uint8_t*>(tensor.const_data_ptr()), tensor.nbytes()};
}

}  // namespace gondola
