#pragma once

#include <cstdint>

#include "trainer/kernels/matrix_product.hpp"

namespace gondola {

/// How the passes of a sine network are made.
struct SirenWork {
  MatrixProduct product;
  std::int64_t tile_rows = 0;  ///< Most rows of a tile, images by coordinates; 0: by the device.
};

}  // namespace gondola
