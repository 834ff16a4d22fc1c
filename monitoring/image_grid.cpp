#include "monitoring/image_grid.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "configs/errors.hpp"
#include "data/images/png.hpp"
#include "monitoring/step_name.hpp"

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

struct ImageSize {
  std::int64_t channels, height, width;
};

/// A picture of ground for cells of images, each pixel drawn as a square of whole size.
struct Sheet {
  Picture picture;
  std::int64_t scale, cell_width, cell_height;
};

/// As large as makes `columns` cells at least kWantedWidth wide. @param rows of `images_a_row`
/// images under each other.
Sheet empty_sheet(const ImageSize& size, std::int64_t columns, std::int64_t rows,
                  std::int64_t images_a_row, std::int64_t row_gap) {
  const auto gaps = (columns - 1) * kCellGap;
  Sheet sheet;
  sheet.scale = std::max<std::int64_t>(
      1, (kWantedWidth - gaps + columns * size.width - 1) / (columns * size.width));
  sheet.cell_width = size.width * sheet.scale;
  sheet.cell_height = size.height * sheet.scale;
  auto& picture = sheet.picture;
  picture.width = columns * sheet.cell_width + gaps;
  picture.height = rows * (images_a_row * sheet.cell_height + (images_a_row - 1) * kCellGap) +
                   (rows - 1) * row_gap;
  picture.channels = size.channels == 3 ? 3 : 1;
  picture.pixels.assign(static_cast<std::size_t>(picture.width * picture.height * picture.channels),
                        kGround);
  return sheet;
}

/// Draws image `index` of `images` [n, C, H, W] with its upper left corner at (left, top).
void draw_image(Sheet& sheet, const ImageSize& size, const std::vector<float>& images,
                std::int64_t index, std::int64_t left, std::int64_t top) {
  auto& picture = sheet.picture;
  const auto scale = sheet.scale;
  const auto plane = size.height * size.width;
  const auto first = index * size.channels * plane;
  for (std::int64_t y = 0; y < sheet.cell_height; ++y) {
    for (std::int64_t x = 0; x < sheet.cell_width; ++x) {
      const auto source = first + y / scale * size.width + x / scale;
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

  const ImageSize size{report.channels, report.height, report.width};
  const auto columns = std::min(report.n, kPairsPerRow);
  const auto rows = (report.n + columns - 1) / columns;
  auto sheet = empty_sheet(size, columns, rows, /*images_a_row=*/2, kRowGap);
  const auto row_height = 2 * sheet.cell_height + kCellGap;
  for (std::int64_t index = 0; index < report.n; ++index) {
    const auto left = index % columns * (sheet.cell_width + kCellGap);
    const auto top = index / columns * (row_height + kRowGap);
    draw_image(sheet, size, report.originals, index, left, top);
    draw_image(sheet, size, report.reconstructions, index, left,
               top + sheet.cell_height + kCellGap);
  }
  return std::move(sheet.picture);
}

Picture draw_grid(const std::vector<float>& images, std::int64_t n, std::int64_t channels,
                  std::int64_t height, std::int64_t width, std::int64_t columns) {
  assert(n >= 1 && columns >= 1 &&
         images.size() == static_cast<std::size_t>(n * channels * height * width));
  const ImageSize size{channels, height, width};
  columns = std::min(n, columns);
  auto sheet =
      empty_sheet(size, columns, (n + columns - 1) / columns, /*images_a_row=*/1, kCellGap);
  for (std::int64_t index = 0; index < n; ++index) {
    draw_image(sheet, size, images, index, index % columns * (sheet.cell_width + kCellGap),
               index / columns * (sheet.cell_height + kCellGap));
  }
  return std::move(sheet.picture);
}

ImageGrid::ImageGrid(std::filesystem::path run_folder, std::int64_t resume_step)
    : run_folder_(std::move(run_folder)) {
  keep_up_to(resume_step);
}

void ImageGrid::keep_up_to(std::int64_t step) const {
  for (const auto& [later, path] : pictures_of(run_folder_)) {
    std::error_code error;
    if (later > step) std::filesystem::remove(path, error);
    if (error) {
      throw IoError("cannot remove the picture " + path.string() + " of a step after " +
                    std::to_string(step) + ", where the run goes on: " + error.message() +
                    "; remove it by hand");
    }
  }
}

void ImageGrid::on_rollback(const RollbackReport& report) { keep_up_to(report.step); }

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
