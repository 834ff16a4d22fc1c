#include "data/images/png.hpp"

#include <png.h>

#include <cassert>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"

namespace gondola {

void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height,
               std::int64_t channels, std::span<const std::uint8_t> pixels) {
  assert(width > 0 && height > 0 && (channels == 1 || channels == 3));
  assert(static_cast<std::int64_t>(pixels.size()) == width * height * channels);

  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;

  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::uint8_t> encoded(bytes);
  if (png_image_write_to_memory(&image, encoded.data(), &bytes, /*convert_to_8bit=*/0,
                                pixels.data(), /*row_stride=*/0, /*colormap=*/nullptr) == 0) {
    throw IoError("cannot encode the picture " + path.string() + " of " + std::to_string(width) +
                  "x" + std::to_string(height) + " pixels: " + image.message);
  }
  write_file_atomically(path, std::span(encoded).first(bytes));
}

}  // namespace gondola
