#include "data/images/contact_sheet.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace gondola {

ContactSheet make_contact_sheet(std::span<const std::uint8_t> images, std::int64_t n,
                                std::int64_t channels, std::int64_t height, std::int64_t width) {
  assert(n >= 1 && static_cast<std::int64_t>(images.size()) == n * channels * height * width);
  constexpr std::int64_t kGap = 2;
  constexpr std::int64_t kLeastSide = 32;

  const std::int64_t side = std::max(width, height);
  const std::int64_t zoom = std::max<std::int64_t>(1, (kLeastSide + side - 1) / side);
  const auto columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(n))));
  const std::int64_t rows = (n + columns - 1) / columns;
  const std::int64_t cell_width = zoom * width + kGap;
  const std::int64_t cell_height = zoom * height + kGap;

  ContactSheet sheet;
  sheet.channels = channels == 3 ? 3 : 1;
  sheet.width = columns * cell_width + kGap;
  sheet.height = rows * cell_height + kGap;
  sheet.pixels.assign(static_cast<std::size_t>(sheet.width * sheet.height * sheet.channels), 255);

  for (std::int64_t image = 0; image < n; ++image) {
    const std::uint8_t* planes = images.data() + image * channels * height * width;
    const std::int64_t top = kGap + image / columns * cell_height;
    const std::int64_t left = kGap + image % columns * cell_width;
    for (std::int64_t y = 0; y < zoom * height; ++y) {
      std::uint8_t* out = sheet.pixels.data() + ((top + y) * sheet.width + left) * sheet.channels;
      for (std::int64_t x = 0; x < zoom * width; ++x) {
        for (std::int64_t channel = 0; channel < sheet.channels; ++channel) {
          *out++ = planes[(channel * height + y / zoom) * width + x / zoom];
        }
      }
    }
  }
  return sheet;
}

}  // namespace gondola
