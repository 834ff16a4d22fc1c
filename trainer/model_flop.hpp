#pragma once

#include "configs/run_config.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// Floating-point operations (a product and a sum are two) in the matrix products that training on
/// one image cannot do without: the network forwards and backwards once, to its activations and to
/// its weights, which is three times its forward pass. What the inner pass of a GON adds is not in
/// it, so that a method that needs less of it for the same step shows as better use of the machine.
[[nodiscard]] double flop_per_image(const RunConfig& config, const ImageShape& shape);

}  // namespace gondola
