#pragma once

#include <cstdint>
#include <span>

#include "monitoring/image_grid.hpp"

namespace gondola {

/// Points in the plane, each a dot in the colour of its class (of 10, which then repeat), on a
/// white ground: the square of 640 pixels around all but the outermost 0.5 % of the points on each
/// side.
/// @param points [n, 2]. @param classes [n]; empty: one colour. REQUIRES n >= 1.
[[nodiscard]] Picture draw_scatter(std::span<const float> points,
                                   std::span<const std::int64_t> classes);

}  // namespace gondola
