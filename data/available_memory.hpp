#pragma once

#include <cstdint>

namespace gondola {

/// Bytes of memory that this process may still take without swapping: what the machine has left, or
/// its control group where that is less.
[[nodiscard]] std::int64_t available_memory_bytes();

}  // namespace gondola
