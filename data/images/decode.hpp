#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "data/images/planar_image.hpp"

namespace gondola {

/// A part of a picture.
struct Window {
  std::int64_t top = 0, left = 0, height = 0, width = 0;
};

/// Says which part of a picture of this size is wanted: inside it, and not empty. May throw.
using ChooseWindow = std::function<Window(std::int64_t height, std::int64_t width)>;

/// Unpacks a JPEG, PNG or WebP, told by its first bytes. Grey pictures have one channel, others
/// three: palettes are looked up, alpha is dropped, 16 bits are cut to 8 (as Pillow does).
/// Thread-safe.
/// @param choose where given, only this part is kept.
/// @throws DataError: `name`, what is wrong with the picture, the cure
[[nodiscard]] PlanarImage decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                                       const ChooseWindow& choose = {});

}  // namespace gondola
