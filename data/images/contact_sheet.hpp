#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gondola {

/// A picture in memory: interleaved bytes, [height, width, channels].
struct ContactSheet {
  std::int64_t width = 0, height = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Lays images [n, C, H, W] out in a nearly square grid, row by row, on white with 2 pixels between
/// them, each pixel drawn as a square of whole size so that an image's longer side is at least 32.
/// Grey for C = 1, RGB for C = 3, else the first channel in grey. REQUIRES n >= 1.
[[nodiscard]] ContactSheet make_contact_sheet(std::span<const std::uint8_t> images, std::int64_t n,
                                              std::int64_t channels, std::int64_t height,
                                              std::int64_t width);

}  // namespace gondola
