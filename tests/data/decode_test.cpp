#include "data/images/decode.hpp"

#include <atomic>
#include <thread>

#include "data/images/crop.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Bytes = std::vector<std::uint8_t>;

/// The pictures of pillow.h5 (made by make_pillow_fixtures.py) and what Pillow unpacks from them.
class Decode : public ::testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> names() const { return hdf5::link_names(cases_.get()); }
  [[nodiscard]] Bytes packed(const std::string& name) const {
    const auto group = hdf5::open_group(cases_.get(), name);
    return hdf5::read_dataset<std::uint8_t>(group.get(), "bytes");
  }
  [[nodiscard]] PlanarImage expected(const std::string& name) const {
    const auto group = hdf5::open_group(cases_.get(), name);
    std::vector<std::int64_t> shape;
    PlanarImage image;
    image.pixels = hdf5::read_dataset<std::uint8_t>(group.get(), "pixels", &shape);
    image.channels = shape.at(0);
    image.height = shape.at(1);
    image.width = shape.at(2);
    return image;
  }

 private:
  hdf5::Handle file_ = hdf5::open_file(GONDOLA_SOURCE_DIR "/tests/data/pillow.h5");
  hdf5::Handle cases_ = hdf5::open_group(hdf5::open_group(file_.get(), "decode").get(), ".");
};

void put_big_endian(Bytes& bytes, std::size_t place, std::uint32_t value, int count) {
  for (int i = 0; i < count; ++i) {
    bytes.at(place + static_cast<std::size_t>(i)) =
        static_cast<std::uint8_t>(value >> (8 * (count - 1 - i)));
  }
}

/// Where the sizes of a JPEG's frame stand: height, then width, of two bytes each.
std::size_t frame_sizes(const Bytes& jpeg) {
  for (std::size_t i = 2; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] == 0xFF && (jpeg[i + 1] == 0xC0 || jpeg[i + 1] == 0xC2)) return i + 5;
  }
  throw std::runtime_error("no frame");
}

TEST_F(Decode, pictures_are_what_pillow_makes_of_them) {
  ASSERT_GE(names().size(), 21U);
  for (const std::string& name : names()) {
    const PlanarImage image = decode_image(packed(name), name), right = expected(name);
    EXPECT_EQ(image.channels, right.channels) << name;
    EXPECT_EQ(image.height, right.height) << name;
    EXPECT_EQ(image.width, right.width) << name;
    EXPECT_EQ(image.pixels, right.pixels) << name;
  }
}

/// Rows that a third of the height lies above, or 1 or 17, which are in the midst of blocks and
/// beside their edges, or the last.
std::vector<Window> windows_of(const PlanarImage& image) {
  std::vector<Window> windows;
  for (const std::int64_t top :
       {image.height / 3, std::int64_t{0}, std::int64_t{1}, std::int64_t{17}, image.height - 1}) {
    for (const std::int64_t height : {(image.height + 1) / 2, std::int64_t{1}}) {
      if (top + height > image.height) continue;
      windows.push_back(
          {.top = top, .left = image.width / 4, .height = height, .width = (image.width + 1) / 2});
    }
  }
  return windows;
}

TEST_F(Decode, a_window_of_a_picture_is_what_a_crop_of_the_whole_is) {
  for (const std::string& name : names()) {
    const PlanarImage right = expected(name);
    for (const Window& window : windows_of(right)) {
      const PlanarImage part =
          decode_image(packed(name), name, [&](std::int64_t height, std::int64_t width) {
            EXPECT_EQ(height, right.height) << name;
            EXPECT_EQ(width, right.width) << name;
            return window;
          });
      const auto wanted = crop(right, window.top, window.left, window.height, window.width);
      EXPECT_EQ(part.channels, wanted.channels) << name;
      EXPECT_EQ(part.height, wanted.height) << name;
      EXPECT_EQ(part.width, wanted.width) << name;
      EXPECT_EQ(part.pixels, wanted.pixels) << name << " from row " << window.top;
    }
  }
}

TEST_F(Decode, damage_below_a_window_is_found) {
  for (const std::string& name : names()) {
    const Bytes whole = packed(name);
    const auto cut = std::span(whole).first(whole.size() - 16);
    EXPECT_THAT(complaint<DataError>([&] {
                  (void)decode_image(cut, name, [](std::int64_t, std::int64_t width) {
                    return Window{.top = 0, .left = 0, .height = 1, .width = width};
                  });
                }),
                StartsWith(name));
  }
}

TEST_F(Decode, a_picture_that_is_refused_for_its_size_does_not_spoil_the_next) {
  const auto refuse = [](std::int64_t, std::int64_t) -> Window { throw DataError("too small"); };
  for (const std::string& name : names()) {
    EXPECT_EQ(complaint<DataError>([&] { (void)decode_image(packed(name), name, refuse); }),
              "too small");
    EXPECT_EQ(decode_image(packed(name), name).pixels, expected(name).pixels) << name;
  }
}

TEST_F(Decode, a_truncated_picture_is_refused_or_whole_never_half) {
  for (const std::string& name : names()) {
    const Bytes whole = packed(name), right = expected(name).pixels;
    std::size_t refused = 0;
    for (std::size_t length = 0; length < whole.size(); ++length) {
      try {
        const auto image = decode_image(std::span(whole).first(length), name);
        EXPECT_EQ(image.pixels, right) << name << " of " << length << " bytes";
      } catch (const DataError& error) {
        ++refused;
        EXPECT_THAT(error.what(), StartsWith(name));
      }
    }
    EXPECT_GE(refused, whole.size() - 16) << name;
  }
}

TEST_F(Decode, damage_in_the_pixels_of_a_png_is_found) {
  for (const std::string& name : names()) {
    if (!name.starts_with("png")) continue;
    Bytes damaged = packed(name);
    damaged[damaged.size() - 12 - 8] ^= 0x10;  // the end of the last IDAT, before CRC and IEND
    EXPECT_THAT(complaint<DataError>([&] { (void)decode_image(damaged, "a.png"); }),
                HasSubstr("a.png is a damaged PNG"))
        << name;
  }
}

TEST_F(Decode, what_is_no_picture_is_refused_with_its_first_bytes) {
  const auto says = [](const std::string& text) {
    return complaint<DataError>([&] { (void)decode_image(Bytes(text.begin(), text.end()), "x"); });
  };
  EXPECT_THAT(says(""), HasSubstr("x is empty"));
  EXPECT_THAT(says("GIF89a"), HasSubstr("x is no JPEG, PNG or WebP (it begins with 47 49 46 38)"));
  EXPECT_THAT(says("RIFF0000WAVE"), HasSubstr("is no JPEG"));
  EXPECT_THAT(says("\xff"), HasSubstr("begins with ff)"));
  EXPECT_THAT(says("\xff\xd8\xff\xd9"), HasSubstr("of tables without an image"));
  EXPECT_THAT(says("\xff\xd8\xff\xdb\x01\x01\x0f"), HasSubstr("is a damaged or unusable JPEG"));
}

TEST_F(Decode, a_bad_picture_does_not_spoil_the_next) {
  for (const std::string& name : names()) {
    const Bytes whole = packed(name), right = expected(name).pixels;
    for (std::size_t length = 1; length < whole.size(); length += whole.size() / 17) {
      (void)complaint<DataError>([&] { (void)decode_image(std::span(whole).first(length), name); });
      ASSERT_EQ(decode_image(whole, name).pixels, right) << name << " after " << length << " bytes";
    }
  }
}

TEST_F(Decode, a_jpeg_of_tables_alone_is_refused) {
  Bytes tables = packed("jpeg grey");
  tables.resize(frame_sizes(tables) - 5);
  tables.insert(tables.end(), {0xFF, 0xD9});
  EXPECT_THAT(complaint<DataError>([&] { (void)decode_image(tables, "t.jpg"); }),
              HasSubstr("t.jpg is a JPEG of tables without an image"));
}

TEST_F(Decode, arithmetic_coding_is_refused) {
  Bytes jpeg = packed("jpeg grey");
  jpeg[frame_sizes(jpeg) - 4] = 0xC9;
  EXPECT_THAT(complaint<DataError>([&] { (void)decode_image(jpeg, "a.jpg"); }),
              HasSubstr("a.jpg is a JPEG with arithmetic coding"));
}

TEST_F(Decode, sizes_beyond_any_use_are_refused_before_memory_is_taken) {
  Bytes jpeg = packed("jpeg grey");
  put_big_endian(jpeg, frame_sizes(jpeg), 65000, 2);
  put_big_endian(jpeg, frame_sizes(jpeg) + 2, 65000, 2);
  EXPECT_THAT(complaint<DataError>([&] { (void)decode_image(jpeg, "a.jpg"); }),
              HasSubstr("65000x65000 pixels, more than the 268435456 bytes"));
  // Within the limit, but beyond what so short a file can hold.
  put_big_endian(jpeg, frame_sizes(jpeg), 4000, 2);
  put_big_endian(jpeg, frame_sizes(jpeg) + 2, 4000, 2);
  EXPECT_THAT(complaint<DataError>([&] { (void)decode_image(jpeg, "a.jpg"); }),
              HasSubstr("is truncated: it announces 4000x4000 pixels"));
}

TEST_F(Decode, threads_do_not_disturb_each_other) {
  const Bytes colour = packed("jpeg baseline"), grey = packed("jpeg grey");
  const Bytes right_colour = expected("jpeg baseline").pixels,
              right_grey = expected("jpeg grey").pixels;
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const bool in_colour = (i + t) % 2 == 0;
        const auto image = decode_image(in_colour ? colour : grey, "x");
        wrong += image.pixels != (in_colour ? right_colour : right_grey) ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace gondola
