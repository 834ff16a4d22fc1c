#include "monitoring/histogram_plot.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace gondola {
namespace {

constexpr std::int64_t kWidth = 640, kHeight = 400;
constexpr std::size_t kBars = 64;
constexpr std::int64_t kBarWidth = kWidth / static_cast<std::int64_t>(kBars);
constexpr double kEnd = 4.0;            // of the axis, on both sides
constexpr double kLeastHighest = 0.45;  // density at the upper edge; the normal's is at most 0.399
constexpr std::int64_t kLineWidth = 2;

using Colour = std::array<std::uint8_t, 3>;
constexpr Colour kBar = {42, 120, 214}, kLine = {224, 96, 43};

double normal_density(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
}

}  // namespace

Picture draw_histogram(std::span<const float> values) {
  assert(!values.empty());
  std::array<double, kBars> density{};
  const double width = 2.0 * kEnd / static_cast<double>(kBars);
  for (const float value : values) {
    if (!(value >= -kEnd && value < kEnd)) continue;
    const auto bar = static_cast<std::size_t>((static_cast<double>(value) + kEnd) / width);
    density[std::min(bar, kBars - 1)] += 1.0 / (width * static_cast<double>(values.size()));
  }
  const double highest = std::max(kLeastHighest, *std::ranges::max_element(density));

  Picture picture{.width = kWidth, .height = kHeight, .channels = 3, .pixels = {}};
  picture.pixels.assign(static_cast<std::size_t>(kWidth * kHeight * 3), 255);
  const auto paint = [&](std::int64_t x, std::int64_t first_row, std::int64_t last_row,
                         const Colour& colour) {
    for (auto row = std::max<std::int64_t>(first_row, 0); row <= std::min(last_row, kHeight - 1);
         ++row) {
      std::ranges::copy(colour, &picture.pixels[static_cast<std::size_t>((row * kWidth + x) * 3)]);
    }
  };
  const auto row_of = [&](double value) {
    return kHeight - std::llround(value / highest * static_cast<double>(kHeight));
  };
  for (std::int64_t x = 0; x < kWidth; ++x) {
    if (x % kBarWidth != kBarWidth - 1) {  // a gap between bars
      paint(x, row_of(density[static_cast<std::size_t>(x / kBarWidth)]), kHeight - 1, kBar);
    }
    const double at = kEnd * (2.0 * (static_cast<double>(x) + 0.5) / kWidth - 1.0);
    const auto row = row_of(normal_density(at));
    paint(x, row - kLineWidth, row + kLineWidth - 1, kLine);
  }
  return picture;
}

}  // namespace gondola
