#include "data/images/crop.hpp"

#include <algorithm>
#include <cassert>

namespace gondola {
namespace {

/// a * b / divisor, rounded half up, at least 1.
std::int64_t scaled(std::int64_t a, std::int64_t b, std::int64_t divisor) {
  return std::max<std::int64_t>(1, (2 * a * b + divisor) / (2 * divisor));
}

}  // namespace

PlanarImage crop(const PlanarImage& image, std::int64_t top, std::int64_t left, std::int64_t height,
                 std::int64_t width) {
  assert(top >= 0 && height >= 1 && top + height <= image.height);
  assert(left >= 0 && width >= 1 && left + width <= image.width);
  if (height == image.height && width == image.width) {
    return image;
  }
  PlanarImage cut{.channels = image.channels, .height = height, .width = width};
  cut.pixels.resize(static_cast<std::size_t>(image.channels * height * width));
  auto out = cut.pixels.begin();
  for (std::int64_t channel = 0; channel < image.channels; ++channel) {
    for (std::int64_t row = 0; row < height; ++row) {
      const auto from = (channel * image.height + top + row) * image.width + left;
      out = std::copy_n(image.pixels.begin() + from, width, out);
    }
  }
  return cut;
}

PlanarImage crop_center(const PlanarImage& image, std::int64_t height, std::int64_t width) {
  return crop(image, (image.height - height) / 2, (image.width - width) / 2, height, width);
}

PlanarImage crop_to_aspect(const PlanarImage& image, std::int64_t height, std::int64_t width) {
  assert(height >= 1 && width >= 1);
  const bool too_wide = image.width * height > image.height * width;
  return too_wide ? crop_center(image, image.height, scaled(image.height, width, height))
                  : crop_center(image, scaled(image.width, height, width), image.width);
}

}  // namespace gondola
