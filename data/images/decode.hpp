#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/images/planar_image.hpp"

namespace gondola {

/// Unpacks a JPEG, PNG or WebP, told by its first bytes. Grey pictures have one channel, others
/// three: palettes are looked up, alpha is dropped, 16 bits are cut to 8 (as Pillow does).
/// Thread-safe.
/// @throws DataError: `name`, what is wrong with the picture, the cure
[[nodiscard]] PlanarImage decode_image(std::span<const std::uint8_t> bytes,
                                       const std::string& name);

}  // namespace gondola
