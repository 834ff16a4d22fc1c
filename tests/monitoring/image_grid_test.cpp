#include "monitoring/image_grid.hpp"

#include <gtest/gtest.h>
#include <png.h>

#include <array>
#include <cmath>

#include "configs/errors.hpp"
#include "monitoring/step_name.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

/// n images of 1 x 2 x 3 whose pixel values are all different: originals from 0 up, reconstructions
/// from 1 down.
SampleReport samples(std::int64_t n, std::int64_t channels) {
  SampleReport report{.step = 70,
                      .n = n,
                      .channels = channels,
                      .height = 2,
                      .width = 3,
                      .originals = {},
                      .reconstructions = {}};
  const auto count = n * channels * 6;
  for (std::int64_t i = 0; i < count; ++i) {
    report.originals.push_back(static_cast<float>(i) / 255.0F);
    report.reconstructions.push_back(1.0F - static_cast<float>(i) / 255.0F);
  }
  return report;
}

std::uint8_t pixel(const Picture& picture, std::int64_t x, std::int64_t y,
                   std::int64_t channel = 0) {
  return picture.pixels.at(
      static_cast<std::size_t>((y * picture.width + x) * picture.channels + channel));
}

TEST(DrawPairs, each_original_stands_over_its_reconstruction) {
  // 2 images of width 3: scale 85 makes 2 * 255 + 2 = 512.
  const auto picture = draw_pairs(samples(2, 1));
  EXPECT_EQ(picture.channels, 1);
  EXPECT_EQ(picture.width, 512);
  EXPECT_EQ(picture.height, 2 * 170 + 2);
  for (const std::int64_t image : {0, 1}) {
    for (const std::int64_t row : {0, 1}) {
      for (const std::int64_t column : {0, 1, 2}) {
        const auto value = image * 6 + row * 3 + column;
        const auto left = image * 257 + column * 85;
        for (const std::int64_t inside : {0, 84}) {  // the corners of the drawn square
          EXPECT_EQ(pixel(picture, left + inside, row * 85 + inside), value);
          EXPECT_EQ(pixel(picture, left + inside, 172 + row * 85 + inside), 255 - value);
        }
      }
    }
  }
}

TEST(DrawPairs, gaps_are_white) {
  auto report = samples(2, 1);
  for (auto& value : report.originals) value = 0.0F;
  for (auto& value : report.reconstructions) value = 0.0F;
  const auto picture = draw_pairs(report);
  for (const std::int64_t y : {0, 100, 341}) {
    EXPECT_EQ(pixel(picture, 254, y), 0);
    EXPECT_EQ(pixel(picture, 255, y), 255);
    EXPECT_EQ(pixel(picture, 256, y), 255);
    EXPECT_EQ(pixel(picture, 257, y), 0);
  }
  EXPECT_EQ(pixel(picture, 10, 169), 0);
  EXPECT_EQ(pixel(picture, 10, 170), 255);
  EXPECT_EQ(pixel(picture, 10, 171), 255);
  EXPECT_EQ(pixel(picture, 10, 172), 0);
}

TEST(DrawPairs, after_16_pairs_a_new_row_begins) {
  auto report = samples(18, 1);
  for (auto& value : report.originals) value = 0.0F;
  report.originals[16 * 6] = 1.0F;
  // 16 cells of width 3 need scale 11 for 512: 16 * 33 + 15 * 2.
  const auto picture = draw_pairs(report);
  EXPECT_EQ(picture.width, 558);
  const std::int64_t row_height = 2 * 22 + 2;
  EXPECT_EQ(picture.height, 2 * row_height + 8);
  EXPECT_EQ(pixel(picture, 0, row_height), 255);
  EXPECT_EQ(pixel(picture, 10, row_height + 8 + 10), 255);
  EXPECT_EQ(pixel(picture, 11, row_height + 8), 0);
  EXPECT_EQ(pixel(picture, 2 * 35, row_height + 8), 255) << "there is no 19th image";
}

TEST(DrawPairs, colour_is_kept_and_other_channel_counts_show_their_first) {
  const auto colour = draw_pairs(samples(1, 3));
  EXPECT_EQ(colour.channels, 3);
  EXPECT_EQ(pixel(colour, 0, 0, 0), 0);
  EXPECT_EQ(pixel(colour, 0, 0, 1), 6);
  EXPECT_EQ(pixel(colour, 0, 0, 2), 12);
  const auto stereo = draw_pairs(samples(2, 2));
  EXPECT_EQ(stereo.channels, 1);
  EXPECT_EQ(pixel(stereo, 257, 0), 12);
}

TEST(DrawPairs, values_are_clamped_and_what_is_no_number_is_black) {
  auto report = samples(1, 1);
  report.originals = {-3.0F, 7.0F, std::nanf(""), INFINITY, -INFINITY, 0.5F};
  const auto picture = draw_pairs(report);
  const auto scale = picture.width / 3;
  std::array<int, 6> drawn{};
  for (std::int64_t i = 0; i < 6; ++i) {
    drawn[static_cast<std::size_t>(i)] = pixel(picture, i % 3 * scale, i / 3 * scale);
  }
  EXPECT_EQ(drawn, (std::array<int, 6>{0, 255, 0, 255, 0, 128}));
}

TEST(DrawPairs, large_images_are_not_enlarged) {
  SampleReport report{.step = 1,
                      .n = 2,
                      .channels = 1,
                      .height = 1,
                      .width = 600,
                      .originals = {},
                      .reconstructions = {}};
  report.originals.assign(1200, 0.0F);
  report.reconstructions = report.originals;
  EXPECT_EQ(draw_pairs(report).width, 1202);
}

using ImageGridFiles = FolderTest;

TEST_F(ImageGridFiles, the_picture_is_named_after_its_step_and_reads_back) {
  ImageGrid(folder(), 0).on_samples(samples(2, 3));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const auto path = (folder() / "samples" / "step-00000070.png").string();
  ASSERT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0) << image.message;
  const auto drawn = draw_pairs(samples(2, 3));
  EXPECT_EQ(image.width, drawn.width);
  EXPECT_EQ(image.height, drawn.height);
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  ASSERT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0) << image.message;
  EXPECT_EQ(pixels, drawn.pixels);
}

TEST_F(ImageGridFiles, a_samples_folder_that_cannot_be_made_is_an_io_error) {
  write("samples", "a file where the folder should be");
  EXPECT_THROW(ImageGrid(folder(), 0).on_samples(samples(1, 1)), IoError);
}

TEST_F(ImageGridFiles, on_a_resume_and_a_rollback_later_pictures_go) {
  const auto steps = [&] {
    std::vector<std::int64_t> found;
    for (const auto& [step, path] : pictures_of(folder())) found.push_back(step);
    return found;
  };
  const auto draw = [&](ImageGrid& grid, std::int64_t step) {
    auto report = samples(1, 1);
    report.step = step;
    grid.on_samples(report);
  };
  ImageGrid first(folder(), 0);
  for (const std::int64_t step : {2, 4, 6}) draw(first, step);
  write("samples/mine.png", "of somebody else");
  ImageGrid resumed(folder(), 4);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{2, 4}));
  draw(resumed, 6);
  resumed.on_rollback({.step = 2, .from_step = 7, .reason = ""});
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{2}));
  EXPECT_EQ(read("samples/mine.png"), "of somebody else");
}

}  // namespace
}  // namespace gondola
