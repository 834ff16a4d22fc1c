#pragma once

#include <cstdint>

#include "data/dataset_file.hpp"

namespace gondola {

/// What it costs to read images through HDF5, measured with warm caches.
struct ReadCost {
  double images_per_second = 0;        ///< Through HDF5, one by one in random order.
  double plain_images_per_second = 0;  ///< The same pixels by pread from plain bytes.
  [[nodiscard]] double factor() const { return plain_images_per_second / images_per_second; }
};

/// Reads a few random images both ways, for about half a second at the most. REQUIRES the split.
/// @throws DataError, IoError (no memory for the plain bytes)
[[nodiscard]] ReadCost measure_read_cost(const DatasetFile& file, Split split);

}  // namespace gondola
