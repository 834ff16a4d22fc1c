#pragma once

#include <cstdint>

namespace gondola {

/// The shape of every image of a dataset.
struct ImageShape {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  [[nodiscard]] std::int64_t values() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

}  // namespace gondola
