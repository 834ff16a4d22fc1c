#include "monitoring/image_grid.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "configs/errors.hpp"
#include "data/images/png.hpp"

namespace gondola {

namespace {

constexpr std::int64_t kPairsPerRow = 16;
constexpr std::int64_t kCellGap = 2;
constexpr std::int64_t kRowGap = 8;
constexpr std::int64_t kWantedWidth = 512;
constexpr std::uint8_t kGround = 255;

std::uint8_t to_byte(float value) {
  if (!(value > 0.0F)) return 0;  // not a number too
  return static_cast<std::uint8_t>(std::lround(std::min(value, 1.0F) * 255.0F));
}

/// Draws image `index` of `images` [n, C, H, W] with its upper left corner at (left, top).
void draw_image(Picture& picture, const SampleReport& report, const std::vector<float>& images,
                std::int64_t index, std::int64_t left, std::int64_t top, std::int64_t scale) {
  const auto plane = report.height * report.width;
  const auto first = index * report.channels * plane;
  for (std::int64_t y = 0; y < report.height * scale; ++y) {
    for (std::int64_t x = 0; x < report.width * scale; ++x) {
      const auto source = first + y / scale * report.width + x / scale;
      const auto target = ((top + y) * picture.width + left + x) * picture.channels;
      for (std::int64_t c = 0; c < picture.channels; ++c) {
        picture.pixels[static_cast<std::size_t>(target + c)] =
            to_byte(images[static_cast<std::size_t>(source + c * plane)]);
      }
    }
  }
}

}  // namespace

Picture draw_pairs(const SampleReport& report) {
  [[maybe_unused]] const auto values =
      static_cast<std::size_t>(report.n * report.channels * report.height * report.width);
  assert(report.n >= 1 && report.originals.size() == values &&
         report.reconstructions.size() == values);

  const auto columns = std::min(report.n, kPairsPerRow);
  const auto rows = (report.n + columns - 1) / columns;
  const auto gaps = (columns - 1) * kCellGap;
  const auto scale = std::max<std::int64_t>(
      1, (kWantedWidth - gaps + columns * report.width - 1) / (columns * report.width));
  const auto cell_width = report.width * scale;
  const auto cell_height = report.height * scale;
  const auto row_height = 2 * cell_height + kCellGap;

  Picture picture;
  picture.width = columns * cell_width + gaps;
  picture.height = rows * row_height + (rows - 1) * kRowGap;
  picture.channels = report.channels == 3 ? 3 : 1;
  picture.pixels.assign(static_cast<std::size_t>(picture.width * picture.height * picture.channels),
                        kGround);
  for (std::int64_t index = 0; index < report.n; ++index) {
    const auto left = index % columns * (cell_width + kCellGap);
    const auto top = index / columns * (row_height + kRowGap);
    draw_image(picture, report, report.originals, index, left, top, scale);
    draw_image(picture, report, report.reconstructions, index, left, top + cell_height + kCellGap,
               scale);
  }
  return picture;
}

void ImageGrid::on_samples(const SampleReport& report) {
  const auto folder = run_folder_ / "samples";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw IoError("cannot create the folder " + folder.string() + ": " + error.message());
  }
  const auto picture = draw_pairs(report);
  write_png(folder / fmt::format("step-{:08}.png", report.step), picture.width, picture.height,
            picture.channels, picture.pixels);
}

}  // namespace gondola
