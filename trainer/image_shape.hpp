#pragma once

#include <cstdint>
#include <string>

namespace gondola {

class ImageSource;

/// The shape of every image of a dataset.
struct ImageShape {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  [[nodiscard]] std::int64_t values() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

[[nodiscard]] ImageShape shape_of(const ImageSource& source);

/// "3x64x64"
[[nodiscard]] std::string text_of(const ImageShape& shape);

}  // namespace gondola
