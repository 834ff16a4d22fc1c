#include <webp/decode.h>

#include <memory>
#include <stdexcept>

#include "data/images/decode_formats.hpp"

namespace gondola {
namespace {

const char* words(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "there is not enough memory for it";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses a feature that libwebp does not know";
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "it is truncated";
    default:
      return "its data makes no sense";
  }
}

void check(VP8StatusCode status, const std::string& name) {
  if (status != VP8_STATUS_OK) {
    refuse_image(name, std::string("is a damaged WebP (") + words(status) + ")");
  }
}

}  // namespace

PlanarImage decode_webp(std::span<const std::uint8_t> bytes, const std::string& name) {
  WebPDecoderConfig config;
  if (::WebPInitDecoderConfig(&config) == 0) {
    throw std::runtime_error("libwebp is of another version than its headers");
  }
  check(::WebPGetFeatures(bytes.data(), bytes.size(), &config.input), name);
  if (config.input.has_animation != 0) {
    refuse_image(name, "is a WebP with moving pictures");
  }
  // A lossless picture of one colour takes no bits at all for its pixels.
  PlanarImage image = make_image(3, config.input.height, config.input.width,
                                 /*least_bits_a_pixel=*/0.0, bytes.size(), name);
  const std::size_t interleaved_bytes = 4 * static_cast<std::size_t>(image.height * image.width);
  const auto interleaved = std::make_unique_for_overwrite<std::uint8_t[]>(interleaved_bytes);
  config.output.colorspace = MODE_RGBA;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = interleaved.get();
  config.output.u.RGBA.stride = config.input.width * 4;
  config.output.u.RGBA.size = interleaved_bytes;
  check(::WebPDecode(bytes.data(), bytes.size(), &config), name);
  split_planes(std::span(interleaved.get(), interleaved_bytes), image);
  return image;
}

}  // namespace gondola
