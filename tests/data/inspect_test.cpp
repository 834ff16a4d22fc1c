#include "data/inspect.hpp"

#include <png.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <sstream>

#include "data/images/contact_sheet.hpp"
#include "data/images/png.hpp"
#include "data/pixel_statistics.hpp"
#include "tests/data/foreign_files.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Inspection = DataTest;

std::string printed(const DatasetSummary& summary) {
  std::ostringstream out;
  print_summary(summary, out);
  return out.str();
}

/// The pixels of a PNG in its own number of channels, and its size.
std::vector<std::uint8_t> read_png(const std::string& path, std::int64_t& width,
                                   std::int64_t& height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0) << image.message;
  width = image.width;
  height = image.height;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0);
  return pixels;
}

TEST_F(Inspection, tells_shape_splits_and_checksums) {
  const std::string path = make_dataset("a.h5", 7, 3);
  const auto summary = inspect_dataset(path, Checksums::kVerify);
  EXPECT_THAT(printed(summary), AllOf(HasSubstr(path), HasSubstr("gondola-dataset version 1"),
                                      HasSubstr("7 images of 2x3x4, labels, contiguous"),
                                      HasSubstr("3 images"), HasSubstr("/test/labels  verified")));
  EXPECT_EQ(summary.checksums.size(), 6U);
  EXPECT_NO_THROW(require_intact(summary));
}

TEST_F(Inspection, verifying_finds_a_single_changed_byte_of_the_images) {
  const std::string path = make_dataset("a.h5", 500, 200);
  const std::string whole = read_bytes(path);
  const auto images = test_images(0, 500, 24);
  const auto place = whole.find(std::string(images.begin(), images.end()));
  ASSERT_NE(place, std::string::npos);
  for (const std::size_t at : {place, place + 6000, place + 500 * 24 - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] + 1);
    write_bytes("damaged.h5", damaged);
    const auto summary = inspect_dataset(in_folder("damaged.h5"), Checksums::kVerify);
    EXPECT_THAT(complaint<DataError>([&] { require_intact(summary); }),
                AllOf(HasSubstr("/train/images"), HasSubstr("damaged")));
    EXPECT_THAT(printed(summary), HasSubstr("DIFFERS"));
    EXPECT_NO_THROW(require_intact(inspect_dataset(in_folder("damaged.h5"), Checksums::kAsStored)));
  }
}

TEST_F(Inspection, foreign_files_are_told_apart) {
  const auto path = make_foreign("f.h5", {4, 1, 2, 2}, H5T_NATIVE_UINT8, true);
  EXPECT_THAT(printed(inspect_dataset(path, Checksums::kAsStored)),
              AllOf(HasSubstr("foreign"), HasSubstr("chunked or packed")));
  EXPECT_THAT(complaint<ConfigError>([&] { (void)inspect_dataset(path, Checksums::kVerify); }),
              AllOf(HasSubstr("f.h5"), HasSubstr("no checksums"), HasSubstr("--verify")));
}

using ForeignInspection = ForeignFiles;

const std::vector<std::function<void(const std::string&)>> kInspections = {
    [](const auto& path) { (void)inspect_dataset(path, Checksums::kAsStored); },
    [](const auto& path) { (void)inspect_pixels(path); },
    [](const auto& path) { write_contact_sheet(path, path + ".png"); }};

/// Whatever is damaged, it ends in a sentence: another process meets the crashes of HDF5.
TEST_F(ForeignInspection, a_damaged_file_without_metadata_checksums_never_crashes_the_reader) {
  const std::string path = make_old("old.h5");
  for (const auto& inspect : kInspections) {
    EXPECT_NO_THROW(inspect(path));
    EXPECT_GT(refusals_of_damage(path, inspect), 5);
  }
}

/// HDF5 1.10 reads far beyond a chunk that is smaller than its dataset says, where it says less
/// than a MiB, and mostly crashes.
TEST_F(ForeignInspection, sizes_of_chunks_that_hdf5_crashes_on_do_no_harm) {
  const std::string whole = read_bytes(make_old("old.h5"));
  struct Layout {
    std::array<std::uint32_t, 3> stored, claimed;  // the last sizes of a chunk, then of a value
  };
  for (const auto& [stored, claimed] :
       {Layout{{8, 8, 1}, {8, 40000, 1}}, Layout{{7, 1, 8}, {7, 18000, 8}}}) {
    std::string bytes = whole;
    const auto at = whole.find({reinterpret_cast<const char*>(stored.data()), sizeof(stored)});
    ASSERT_NE(at, whole.npos);
    std::memcpy(bytes.data() + at, claimed.data(), sizeof(claimed));
    write_bytes("damaged.h5", bytes);
    for (const auto& inspect : kInspections) {
      EXPECT_THAT(complaint<DataError>([&] { inspect(in_folder("damaged.h5")); }),
                  AnyOf(HasSubstr("damaged.h5"), "no error"));
    }
  }
}

TEST_F(Inspection, statistics_are_those_of_the_pixels) {
  DatasetWriter writer(
      in_folder("a.h5"),
      {.channels = 2, .height = 1, .width = 2, .train_images = 3, .test_images = 2});
  writer.write(Split::kTrain, 0,
               std::vector<std::uint8_t>{10, 20, 0, 255, 1, 2, 3, 4, 10, 20, 0, 255});
  writer.write(Split::kTest, 0, std::vector<std::uint8_t>{7, 7, 7, 7, 1, 2, 3, 4});
  writer.commit({}, {}, {});
  const auto statistics = count_pixels(DatasetFile(in_folder("a.h5")));
  const ChannelCounts& first = statistics.splits.at(0).channels.at(0);
  EXPECT_NEAR(first.mean(), (10 + 20 + 1 + 2 + 10 + 20) / 6.0 / 255, 1e-12);
  EXPECT_NEAR(first.stddev(), std::sqrt((100 + 400 + 1 + 4 + 100 + 400) / 6.0 - 10.5 * 10.5) / 255,
              1e-12);
  EXPECT_EQ(first.least(), 1);
  EXPECT_EQ(first.most(), 20);
  EXPECT_EQ(statistics.splits.at(0).channels.at(1).most(), 255);
  EXPECT_EQ(statistics.duplicates, 2);
  EXPECT_EQ(statistics.across_splits, 1);
  std::ostringstream out;
  print_statistics(statistics, out);
  EXPECT_THAT(out.str(),
              AllOf(HasSubstr("train 2 = train 0, test 1 = train 1"), HasSubstr("bytes 1 to 20"),
                    HasSubstr("percent by sixteenths 66.7 33.3 0.0")));
}

TEST_F(Inspection, png_files_hold_the_pixels) {
  for (const std::int64_t channels : {1, 3}) {
    const auto pixels = test_images(0, 1, 5 * 7 * channels);
    write_png(in_folder("p.png"), 5, 7, channels, pixels);
    std::int64_t width = 0, height = 0;
    EXPECT_EQ(read_png(in_folder("p.png"), width, height), pixels);
    EXPECT_EQ(width, 5);
    EXPECT_EQ(height, 7);
  }
  EXPECT_THAT(listing(), ElementsAre("p.png"));
  EXPECT_THAT(complaint<IoError>(
                  [&] { write_png(in_folder("no/p.png"), 1, 1, 1, std::vector<std::uint8_t>{1}); }),
              HasSubstr("no/p.png"));
}

TEST_F(Inspection, a_contact_sheet_shows_images_in_rows) {
  const std::vector<std::uint8_t> images = {10, 20, 30, 40, 50};  // 5 images of 1x1x1: 3 columns
  const auto sheet = make_contact_sheet(images, 5, 1, 1, 1);
  EXPECT_EQ(sheet.width, 3 * 34 + 2);
  EXPECT_EQ(sheet.height, 2 * 34 + 2);
  const auto at = [&](std::int64_t x, std::int64_t y) {
    return sheet.pixels[static_cast<std::size_t>(y * sheet.width + x)];
  };
  EXPECT_EQ(at(2, 2), 10);
  EXPECT_EQ(at(33, 33), 10);
  EXPECT_EQ(at(34, 10), 255);
  EXPECT_EQ(at(36, 10), 20);
  EXPECT_EQ(at(2, 36), 40);
  EXPECT_EQ(at(80, 40), 255) << "no sixth image";
}

TEST_F(Inspection, a_narrow_image_is_not_drawn_larger_than_it_must_be) {
  const auto sheet = make_contact_sheet(std::vector<std::uint8_t>(20), 1, 1, 20, 1);
  EXPECT_EQ(sheet.width, 2 * 1 + 4) << "the longer side of 20 is drawn twice as large";
  EXPECT_EQ(sheet.height, 2 * 20 + 4);
}

TEST_F(Inspection, colours_are_interleaved) {
  const std::vector<std::uint8_t> planes = {1, 2, 3};
  const auto sheet = make_contact_sheet(planes, 1, 3, 1, 1);
  const auto first = static_cast<std::size_t>(3 * (2 * sheet.width + 2));
  EXPECT_THAT(
      std::vector<std::uint8_t>(sheet.pixels.begin() + static_cast<std::ptrdiff_t>(first),
                                sheet.pixels.begin() + static_cast<std::ptrdiff_t>(first) + 3),
      ElementsAre(1, 2, 3));
  EXPECT_EQ(make_contact_sheet(std::vector<std::uint8_t>{1, 2}, 1, 2, 1, 1).channels, 1);
}

TEST_F(Inspection, a_sheet_replaces_no_file) {
  const std::string path = make_dataset("a.h5", 2);
  EXPECT_NO_THROW(require_new_sheet(in_folder("a.png")));
  EXPECT_THAT(complaint<ConfigError>([&] { require_new_sheet(path); }),
              AllOf(HasSubstr(path), HasSubstr("not overwritten")));
}

TEST_F(Inspection, the_sheet_of_a_file_is_a_png) {
  write_contact_sheet(make_dataset("a.h5", 70), in_folder("a.png"));
  std::int64_t width = 0, height = 0;
  (void)read_png(in_folder("a.png"), width, height);
  EXPECT_EQ(width, 8 * (8 * 4 + 2) + 2) << "64 images, 4 pixels wide, drawn 8 times as large";
}

}  // namespace
}  // namespace gondola
