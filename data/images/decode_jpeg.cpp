#include <csetjmp>
#include <cstddef>
#include <cstdio>
// What comes before is what jpeglib.h needs.
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <vector>

#include "data/images/decode_formats.hpp"

namespace gondola {
namespace {

/// libjpeg's state. Its errors are jumps.
struct Decompressor {
  Decompressor() {
    info.err = ::jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr common) { of(common).give_up(); };
    // What the library only warns of has left a part of the picture grey.
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level < 0) of(common).give_up();
    };
    progress.progress_monitor = [](j_common_ptr common) { of(common).look_at_progress(); };
    const bool made = run([this] {
      jpeg_create_decompress(&info);
      info.progress = &progress;
    });
    if (!made) throw std::bad_alloc();
  }
  ~Decompressor() { ::jpeg_destroy_decompress(&info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  /// Runs `action`, which calls the library. False where that failed; `problem` says why.
  /// REQUIRES that nothing in `action` needs its destructor: the jump skips the rest of it.
  template <typename Action>
  [[nodiscard]] bool run(const Action& action) {
    if (setjmp(jump) != 0) return false;
    action();
    return true;
  }

  jpeg_decompress_struct info{};
  std::array<char, JMSG_LENGTH_MAX> problem{};

 private:
  static Decompressor& of(j_common_ptr common) {
    return *static_cast<Decompressor*>(common->client_data);
  }

  [[noreturn]] void give_up() {
    errors.format_message(reinterpret_cast<j_common_ptr>(&info), problem.data());
    std::longjmp(jump, 1);
  }

  /// A scan of a progressive picture may take a few bytes of the file and a look at every pixel.
  void look_at_progress() {
    constexpr int kMostScans = 500;
    if (info.input_scan_number <= kMostScans) return;
    std::snprintf(problem.data(), problem.size(), "it has more than %d scans", kMostScans);
    std::longjmp(jump, 1);
  }

  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
};

/// The decompressor of this thread.
std::unique_ptr<Decompressor>& decompressor() {
  thread_local std::unique_ptr<Decompressor> made;
  if (!made) made = std::make_unique<Decompressor>();
  return made;
}

[[noreturn]] void refuse_damage(const std::string& name) {
  const std::string problem = decompressor()->problem.data();
  // After an error in a header the library goes on in the middle of that header: a decompressor
  // that failed is not used again.
  decompressor().reset();
  refuse_image(name, "is a damaged or unusable JPEG (" + problem + ")");
}

/// Unpacks rows [top, bottom) to `out`, which has room for one more, and looks for damage in all.
void read_rows(jpeg_decompress_struct& info, JDIMENSION top, JDIMENSION bottom,
               std::size_t row_bytes, JSAMPLE* out) {
  const auto read_to = [&](JDIMENSION end) {
    for (; info.output_scanline < end; out += row_bytes) ::jpeg_read_scanlines(&info, &out, 1);
  };
  ::jpeg_start_decompress(&info);
  if (top > 0) ::jpeg_skip_scanlines(&info, top);
  read_to(bottom);
  // The library would not look at what follows rows that are skipped up to the end.
  const JDIMENSION last = info.output_height - 1;
  if (bottom < last) ::jpeg_skip_scanlines(&info, last - bottom);
  read_to(info.output_height);
  ::jpeg_finish_decompress(&info);
}

}  // namespace

PlanarImage decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                        const ChooseWindow& choose) {
  Decompressor& jpeg = *decompressor();
  jpeg_decompress_struct& info = jpeg.info;
  int found = JPEG_SUSPENDED;
  const bool has_header = jpeg.run([&] {
    ::jpeg_abort_decompress(&info);  // the picture before may have been refused half way
    ::jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    found = ::jpeg_read_header(&info, /*require_image=*/FALSE);
  });
  if (!has_header) refuse_damage(name);
  if (found != JPEG_HEADER_OK) refuse_image(name, "is a JPEG of tables without an image");
  if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK) {
    refuse_image(name, "is a JPEG of the inks CMYK, not of red, green and blue");
  }
  if (info.arith_code != FALSE) {
    // Hardly ever met, and a few bytes of it may stand for any number of pixels.
    refuse_image(name, "is a JPEG with arithmetic coding, which is not read");
  }

  const bool grey = info.jpeg_color_space == JCS_GRAYSCALE;
  info.out_color_space = grey ? JCS_GRAYSCALE : JCS_EXT_RGBX;
  const std::int64_t height = info.image_height, width = info.image_width;
  // An 8x8 block takes one bit at least, and may stand for 4x4 blocks where it is subsampled; but
  // one of the colours is not.
  constexpr double kLeastBits = 1.0 / 64;
  require_size(grey ? 1 : 3, height, width, kLeastBits, bytes.size(), name);
  const Window window = choose ? choose(height, width)
                               : Window{.top = 0, .left = 0, .height = height, .width = width};
  const auto bytes_a_pixel = static_cast<std::size_t>(grey ? 1 : 4);
  const std::size_t row_bytes = bytes_a_pixel * static_cast<std::size_t>(width);
  thread_local std::vector<std::uint8_t> unpacked;
  unpacked.resize(row_bytes * static_cast<std::size_t>(window.height + 1));
  const bool is_read = jpeg.run([&] {
    read_rows(info, static_cast<JDIMENSION>(window.top),
              static_cast<JDIMENSION>(window.top + window.height), row_bytes, unpacked.data());
  });
  if (!is_read) refuse_damage(name);

  PlanarImage image{.channels = grey ? 1 : 3, .height = window.height, .width = window.width};
  image.pixels.resize(static_cast<std::size_t>(image.channels * image.height * image.width));
  const std::uint8_t* const first =
      unpacked.data() + bytes_a_pixel * static_cast<std::size_t>(window.left);
  if (!grey) {
    split_planes(first, width, image);
    return image;
  }
  for (std::int64_t row = 0; row < window.height; ++row) {
    std::copy_n(first + row * width, window.width, image.pixels.data() + row * window.width);
  }
  return image;
}

}  // namespace gondola
