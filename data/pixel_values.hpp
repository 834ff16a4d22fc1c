#pragma once

#include <cstdint>
#include <span>

namespace gondola {

/// out[i] = bytes[i] / 255, rounded to the nearest float32 as a division is: in [0, 1].
/// REQUIRES out.size() == bytes.size().
void bytes_to_values(std::span<const std::uint8_t> bytes, std::span<float> out);

}  // namespace gondola
