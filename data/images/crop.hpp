#pragma once

#include <cstdint>

#include "data/images/planar_image.hpp"

namespace gondola {

/// Cuts out `height` rows from `top` on and `width` columns from `left` on. REQUIRES that they lie
/// in the image, at least one of each.
[[nodiscard]] PlanarImage crop(const PlanarImage& image, std::int64_t top, std::int64_t left,
                               std::int64_t height, std::int64_t width);

/// Cuts the centre out; where what is left over is odd, one row or column more is cut off below or
/// to the right. REQUIRES 1 <= height <= image.height, likewise the width.
[[nodiscard]] PlanarImage crop_center(const PlanarImage& image, std::int64_t height,
                                      std::int64_t width);

/// Cuts out the largest centred rectangle of the proportions height : width, its shorter side
/// rounded half up to whole pixels and at least 1. REQUIRES height, width >= 1.
[[nodiscard]] PlanarImage crop_to_aspect(const PlanarImage& image, std::int64_t height,
                                         std::int64_t width);

}  // namespace gondola
