#include "monitoring/scatter_plot.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <vector>

namespace gondola {
namespace {

constexpr std::int64_t kSide = 640;
constexpr std::int64_t kMargin = 12;
constexpr std::int64_t kRadius = 2;
constexpr double kOutermost = 0.005;

using Colour = std::array<std::uint8_t, 3>;
/// Ten that are told apart.
constexpr std::array<Colour, 10> kColours = {{{214, 39, 40},
                                              {140, 86, 20},
                                              {188, 158, 10},
                                              {90, 170, 30},
                                              {10, 120, 90},
                                              {20, 180, 200},
                                              {30, 100, 220},
                                              {60, 30, 150},
                                              {160, 60, 210},
                                              {235, 110, 170}}};

/// Where an axis begins and how long it is.
struct Axis {
  double begin = 0, length = 1;
};

Axis axis_of(std::span<const float> points, std::size_t which) {
  std::vector<float> values;
  for (std::size_t i = which; i < points.size(); i += 2) values.push_back(points[i]);
  std::sort(values.begin(), values.end());
  const auto cut = static_cast<std::size_t>(kOutermost * static_cast<double>(values.size()));
  const double low = values[cut];
  const double high = values[values.size() - 1 - cut];
  return {.begin = low, .length = high > low ? high - low : 1};
}

}  // namespace

Picture draw_scatter(std::span<const float> points, std::span<const std::int64_t> classes) {
  assert(points.size() >= 2 && (classes.empty() || classes.size() == points.size() / 2));
  Picture picture;
  picture.width = picture.height = kSide;
  picture.channels = 3;
  picture.pixels.assign(static_cast<std::size_t>(kSide * kSide * 3), 255);
  const std::array<Axis, 2> axes = {axis_of(points, 0), axis_of(points, 1)};
  for (std::size_t i = 0; i < points.size() / 2; ++i) {
    const auto place = [&](std::size_t axis) {
      const double share = (points[2 * i + axis] - axes[axis].begin) / axes[axis].length;
      return std::isfinite(share)
                 ? kMargin + std::llround(std::clamp(share, -1.0, 2.0) * (kSide - 1 - 2 * kMargin))
                 : std::int64_t{-1000};
    };
    const auto x = place(0);
    const auto y = kSide - 1 - place(1);
    const auto label = classes.empty() ? 6 : classes[i] % 10;
    const auto& colour = kColours[static_cast<std::size_t>(std::max<std::int64_t>(label, 0))];
    for (std::int64_t dy = -kRadius; dy <= kRadius; ++dy) {
      for (std::int64_t dx = -kRadius; dx <= kRadius; ++dx) {
        const auto px = x + dx;
        const auto py = y + dy;
        if (dx * dx + dy * dy > kRadius * kRadius || px < 0 || px >= kSide || py < 0 ||
            py >= kSide) {
          continue;
        }
        auto* pixel = &picture.pixels[static_cast<std::size_t>((py * kSide + px) * 3)];
        std::copy(colour.begin(), colour.end(), pixel);
      }
    }
  }
  return picture;
}

}  // namespace gondola
