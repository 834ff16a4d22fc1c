#include "data/images/image_fit.hpp"

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
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

TEST(ImageFits, an_image_of_too_many_bytes_is_refused_and_not_made) {
  const ImageFit large({.height = 16384, .width = 16384});
  EXPECT_THAT(
      complaint<DataError>([&] {
        (void)large.apply(
            {.channels = 3, .height = 1, .width = 1, .pixels = std::vector<std::uint8_t>(3)});
      }),
      AllOf(HasSubstr("3x16384x16384"), HasSubstr("--size")));
}

}  // namespace
}  // namespace gondola
