#include "monitoring/histogram_plot.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace gondola {
namespace {

/// Rows of the bar over column x, counted from below; the line may hide some.
std::int64_t height_at(const Picture& picture, std::int64_t x) {
  std::int64_t highest = 0;
  for (std::int64_t row = 0; row < picture.height; ++row) {
    const auto* pixel = &picture.pixels[static_cast<std::size_t>((row * picture.width + x) * 3)];
    if (pixel[0] == 42) highest = std::max(highest, picture.height - row);
  }
  return highest;
}

TEST(HistogramPlot, bars_are_as_high_as_their_share_of_the_values) {
  // 64 bars from -4 to 4: those from 1 to 1.125 and from -2 to -1.875 are 10 pixels wide at 400,
  // 160.
  const std::vector<float> values = {1.05F, 1.06F, 1.07F, -1.95F};
  const auto picture = draw_histogram(values);
  EXPECT_EQ(height_at(picture, 404), picture.height);
  EXPECT_NEAR(static_cast<double>(height_at(picture, 164)),
              static_cast<double>(picture.height) / 3.0, 1.0);
  EXPECT_EQ(height_at(picture, 300), 0);
}

TEST(HistogramPlot, values_of_the_normal_distribution_lie_under_its_line) {
  std::vector<float> values;
  for (int i = -4000; i < 4000; ++i) {
    const double x = (i + 0.5) / 1000.0;
    const auto count = std::lround(100 * std::exp(-x * x / 2));
    values.insert(values.end(), static_cast<std::size_t>(count), static_cast<float>(x));
  }
  const auto picture = draw_histogram(values);
  for (const std::int64_t x : {165, 245, 325, 405, 475}) {
    const double at = 8.0 * static_cast<double>(x) / 640 - 4.0;
    const double line = 400 * std::exp(-at * at / 2) / std::sqrt(2 * M_PI) / 0.45;
    EXPECT_NEAR(static_cast<double>(height_at(picture, x)), line, 5.0) << x;
  }
}

TEST(HistogramPlot, what_lies_outside_or_is_no_number_has_no_bar) {
  const std::vector<float> values = {-9.0F, 4.0F, std::numeric_limits<float>::quiet_NaN(),
                                     std::numeric_limits<float>::infinity()};
  const auto picture = draw_histogram(values);
  for (std::int64_t x = 0; x < picture.width; ++x) EXPECT_EQ(height_at(picture, x), 0) << x;
}

}  // namespace
}  // namespace gondola
