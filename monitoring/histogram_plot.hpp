#pragma once

#include <span>

#include "monitoring/image_grid.hpp"

namespace gondola {

/// How values spread from -4 to 4, in 64 bars of equal width, with the density of the standard
/// normal distribution as a line over them, in one scale: both have the area 1 where all values lie
/// inside. Values outside, or that are no numbers, have no bar. 640x400. REQUIRES a value at least.
[[nodiscard]] Picture draw_histogram(std::span<const float> values);

}  // namespace gondola
