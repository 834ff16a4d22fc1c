#pragma once

#include <cstdint>
#include <vector>

namespace gondola {

/// A picture in memory as a dataset holds it: bytes [channels, height, width].
struct PlanarImage {
  std::int64_t channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels = {};
};

}  // namespace gondola
