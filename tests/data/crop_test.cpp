#include "data/images/crop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gondola {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

/// A picture whose value at each place is its row * 10 + its column, and 100 more in each channel.
PlanarImage numbered(std::int64_t channels, std::int64_t height, std::int64_t width) {
  PlanarImage image{.channels = channels, .height = height, .width = width};
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (std::int64_t row = 0; row < height; ++row) {
      for (std::int64_t column = 0; column < width; ++column) {
        image.pixels.push_back(static_cast<std::uint8_t>(channel * 100 + row * 10 + column));
      }
    }
  }
  return image;
}

std::pair<std::int64_t, std::int64_t> size_after(std::int64_t height, std::int64_t width,
                                                 std::int64_t to_height, std::int64_t to_width) {
  PlanarImage image{.channels = 1, .height = height, .width = width};
  image.pixels.resize(static_cast<std::size_t>(height * width));
  const auto cut = crop_to_aspect(image, to_height, to_width);
  EXPECT_EQ(static_cast<std::int64_t>(cut.pixels.size()), cut.height * cut.width);
  return {cut.height, cut.width};
}

TEST(Crop, the_centre_is_cut_out_of_every_channel) {
  const auto cut = crop_center(numbered(2, 4, 5), 2, 3);
  EXPECT_EQ(cut.channels, 2);
  EXPECT_EQ(cut.height, 2);
  EXPECT_EQ(cut.width, 3);
  EXPECT_THAT(cut.pixels, ElementsAre(11, 12, 13, 21, 22, 23, 111, 112, 113, 121, 122, 123));
}

TEST(Crop, an_odd_rest_is_cut_off_below_and_to_the_right) {
  EXPECT_THAT(crop_center(numbered(1, 3, 4), 2, 1).pixels, ElementsAre(1, 11));
}

TEST(Crop, the_whole_picture_stays) {
  const auto image = numbered(2, 3, 4);
  EXPECT_EQ(crop_center(image, 3, 4).pixels, image.pixels);
  EXPECT_EQ(crop_to_aspect(image, 30, 40).pixels, image.pixels);
}

TEST(Crop, the_largest_rectangle_of_the_proportions_is_taken) {
  EXPECT_THAT(size_after(100, 50, 64, 64), Pair(50, 50));
  EXPECT_THAT(size_after(50, 100, 64, 64), Pair(50, 50));
  EXPECT_THAT(size_after(90, 160, 3, 4), Pair(90, 120));
  EXPECT_THAT(size_after(90, 160, 1, 4), Pair(40, 160));
  EXPECT_THAT(size_after(10, 10, 3, 4), Pair(8, 10)) << "7.5 is rounded up";
  EXPECT_THAT(size_after(10, 11, 7, 9), Pair(9, 11)) << "8.56";
  EXPECT_THAT(size_after(1, 1000, 1000, 1), Pair(1, 1));
}

}  // namespace
}  // namespace gondola
