#include "monitoring/scatter_plot.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <set>
#include <vector>

namespace gondola {
namespace {

using Colour = std::array<std::uint8_t, 3>;

Colour at(const Picture& picture, std::int64_t x, std::int64_t y) {
  const auto* pixel = &picture.pixels[static_cast<std::size_t>((y * picture.width + x) * 3)];
  return {pixel[0], pixel[1], pixel[2]};
}

constexpr Colour kWhite = {255, 255, 255};

TEST(ScatterPlot, a_dot_lies_where_its_point_does_with_the_second_value_upwards) {
  const std::vector<float> points = {0, 0, 1, 1, 0, 1};
  const auto picture = draw_scatter(points, {});
  EXPECT_EQ(picture.width, picture.height);
  const auto low = std::int64_t{12};
  const auto high = picture.width - 1 - low;
  EXPECT_NE(at(picture, low, high), kWhite);
  EXPECT_NE(at(picture, high, low), kWhite);
  EXPECT_NE(at(picture, low, low), kWhite);
  EXPECT_EQ(at(picture, high, high), kWhite);
  EXPECT_EQ(at(picture, picture.width / 2, picture.height / 2), kWhite);
}

TEST(ScatterPlot, ten_classes_have_ten_colours) {
  std::vector<float> points;
  std::vector<std::int64_t> classes;
  for (int i = 0; i < 10; ++i) {
    points.insert(points.end(), {static_cast<float>(i), static_cast<float>(i)});
    classes.push_back(i);
  }
  const auto picture = draw_scatter(points, classes);
  std::set<Colour> colours;
  for (std::int64_t x = 0; x < picture.width; ++x) {
    for (std::int64_t y = 0; y < picture.height; ++y) colours.insert(at(picture, x, y));
  }
  EXPECT_EQ(colours.size(), 11U) << "white and ten";
}

TEST(ScatterPlot, points_that_are_equal_or_no_numbers_are_no_trouble) {
  const std::vector<float> equal = {2, 3, 2, 3};
  EXPECT_NE(at(draw_scatter(equal, {}), 12, 640 - 1 - 12), kWhite);
  const std::vector<float> none = {std::numeric_limits<float>::quiet_NaN(), 0};
  EXPECT_NO_THROW(draw_scatter(none, {}));
}

TEST(ImageGrid, plain_grids_have_their_images_in_rows) {
  // Three grey images of 1x1: 0, 1 and a half, two in a row.
  const auto picture = draw_grid({0.0F, 1.0F, 0.5F}, 3, 1, 1, 1, 2);
  const auto cell = (picture.width - 2) / 2;
  EXPECT_EQ(picture.height, 2 * cell + 2);
  const auto grey = [&](std::int64_t x, std::int64_t y) {
    return picture.pixels[static_cast<std::size_t>(y * picture.width + x)];
  };
  EXPECT_EQ(grey(0, 0), 0);
  EXPECT_EQ(grey(cell + 2, 0), 255);
  EXPECT_EQ(grey(0, cell + 2), 128);
  EXPECT_EQ(grey(cell + 2, cell + 2), 255) << "no fourth image";
}

}  // namespace
}  // namespace gondola
