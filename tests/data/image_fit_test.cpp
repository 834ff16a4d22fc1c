#include "data/images/image_fit.hpp"

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::HasSubstr;

TEST(ImageFits, only_grey_and_coloured_images_are_made_the_other) {
  const auto fit = [](std::int64_t from, std::int64_t to) {
    const ImageFit other({.height = 2, .width = 2, .channels = to});
    return other.apply(
        {.channels = from,
         .height = 4,
         .width = 4,
         .pixels = std::vector<std::uint8_t>(static_cast<std::size_t>(16 * from), 9)});
  };
  EXPECT_EQ(fit(1, 3).pixels, std::vector<std::uint8_t>(12, 9));
  EXPECT_EQ(fit(3, 1).pixels, std::vector<std::uint8_t>(4, 9));
  EXPECT_EQ(fit(2, 2).pixels.size(), 8U);
  for (const std::int64_t channels : {2, 4}) {
    EXPECT_THAT(complaint<DataError>([&] { (void)fit(channels, 3); }), HasSubstr("cannot be made"));
    EXPECT_THAT(complaint<DataError>([&] { (void)fit(channels, 1); }), HasSubstr("cannot be made"));
  }
}

}  // namespace
}  // namespace gondola
