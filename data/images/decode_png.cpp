#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "data/images/decode_formats.hpp"

namespace gondola {
namespace {

/// libpng at work on bytes in memory. It reports errors by longjmp, so the functions that call it
/// have no objects of their own to destroy.
class PngReader {
 public:
  explicit PngReader(std::span<const std::uint8_t> bytes) : left_(bytes) {
    png_ = ::png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, ignore);
    info_ = png_ == nullptr ? nullptr : ::png_create_info_struct(png_);
    if (info_ == nullptr) {
      ::png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { ::png_destroy_read_struct(&png_, &info_, nullptr); }

  [[nodiscard]] const char* problem() const { return problem_.data(); }
  [[nodiscard]] std::int64_t height() const { return ::png_get_image_height(png_, info_); }
  [[nodiscard]] std::int64_t width() const { return ::png_get_image_width(png_, info_); }
  [[nodiscard]] int bits_a_pixel() const {
    return ::png_get_bit_depth(png_, info_) * ::png_get_channels(png_, info_);
  }
  [[nodiscard]] bool is_grey() const {
    return (::png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) == 0;
  }

  /// False and a problem() where it fails, as the next function.
  [[nodiscard]] bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) {
      return false;
    }
    ::png_set_read_fn(png_, this, read);
    // Texts, profiles and the like are passed over: they tell nothing that is used here.
    ::png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    ::png_read_info(png_, info_);
    return true;
  }

  /// Into rows of width() bytes where is_grey(), otherwise of four times as many.
  [[nodiscard]] bool read_pixels(std::uint8_t** rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) {
      return false;
    }
    ::png_set_strip_16(png_);
    ::png_set_strip_alpha(png_);
    if (is_grey()) {
      ::png_set_expand_gray_1_2_4_to_8(png_);
    } else {
      ::png_set_palette_to_rgb(png_);
      ::png_set_filler(png_, 0, PNG_FILLER_AFTER);
    }
    ::png_set_interlace_handling(png_);
    ::png_read_update_info(png_, info_);
    if (::png_get_rowbytes(png_, info_) !=
        ::png_get_image_width(png_, info_) * (is_grey() ? 1U : 4U)) {
      ::png_error(png_, "rows of another length");
    }
    ::png_read_image(png_, rows);
    ::png_read_end(png_, nullptr);
    return true;
  }

 private:
  static void read(png_structp png, png_bytep out, std::size_t count) {
    auto& self = *static_cast<PngReader*>(::png_get_io_ptr(png));
    if (count > self.left_.size()) {
      ::png_error(png, "it is truncated");
    }
    std::memcpy(out, self.left_.data(), count);
    self.left_ = self.left_.subspan(count);
  }
  [[noreturn]] static void fail(png_structp png, png_const_charp message) {
    auto& self = *static_cast<PngReader*>(::png_get_error_ptr(png));
    std::snprintf(self.problem_.data(), self.problem_.size(), "%s", message);
    ::png_longjmp(png, 1);
  }
  static void ignore(png_structp, png_const_charp) {}

  std::span<const std::uint8_t> left_;
  std::array<char, 128> problem_{};
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

[[noreturn]] void refuse(const std::string& name, const PngReader& reader) {
  refuse_image(name, std::string("is a damaged PNG (") + reader.problem() + ")");
}

}  // namespace

PlanarImage decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  PngReader reader(bytes);
  if (!reader.read_header()) {
    refuse(name, reader);
  }
  constexpr double kMostPacking = 1100;  // deflate packs by at most 1032
  const bool grey = reader.is_grey();
  PlanarImage image = make_image(grey ? 1 : 3, reader.height(), reader.width(),
                                 reader.bits_a_pixel() / kMostPacking, bytes.size(), name);
  const std::size_t pixels = static_cast<std::size_t>(image.height * image.width);
  std::unique_ptr<std::uint8_t[]> interleaved;
  if (!grey) {
    interleaved = std::make_unique_for_overwrite<std::uint8_t[]>(4 * pixels);
  }
  std::uint8_t* const first = grey ? image.pixels.data() : interleaved.get();
  std::vector<std::uint8_t*> rows;
  for (std::int64_t row = 0; row < image.height; ++row) {
    rows.push_back(first + row * image.width * (grey ? 1 : 4));
  }
  if (!reader.read_pixels(rows.data())) {
    refuse(name, reader);
  }
  if (!grey) {
    split_planes(std::span(interleaved.get(), 4 * pixels), image);
  }
  return image;
}

}  // namespace gondola
