#include "data/images/decode.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>
#include <string_view>

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "data/images/decode_formats.hpp"

namespace gondola {
namespace {

bool has_at(std::span<const std::uint8_t> bytes, std::size_t place, std::string_view text) {
  return bytes.size() >= place + text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(place),
                    [](char c, std::uint8_t byte) { return static_cast<std::uint8_t>(c) == byte; });
}

std::string first_bytes(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min<std::size_t>(4, bytes.size()))) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), " %02x", byte);
    text += digits.data();
  }
  return text;
}

}  // namespace

PlanarImage decode_image(std::span<const std::uint8_t> bytes, const std::string& name) {
  if (bytes.empty()) {
    refuse_image(name, "is empty");
  }
  if (has_at(bytes, 0, "\xff\xd8")) {
    return decode_jpeg(bytes, name);
  }
  if (has_at(bytes, 0, "\x89PNG")) {
    return decode_png(bytes, name);
  }
  if (has_at(bytes, 0, "RIFF") && has_at(bytes, 8, "WEBP")) {
    return decode_webp(bytes, name);
  }
  refuse_image(name, "is no JPEG, PNG or WebP (it begins with" + first_bytes(bytes) + ")");
}

void refuse_image(const std::string& name, const std::string& problem) {
  throw DataError(name + " " + problem + "; replace the picture, or leave it out");
}

PlanarImage make_image(std::int64_t channels, std::int64_t height, std::int64_t width,
                       double least_bits_a_pixel, std::size_t length_bytes,
                       const std::string& name) {
  const std::string size = std::to_string(height) + "x" + std::to_string(width) + " pixels";
  if (height < 1 || width < 1) {
    refuse_image(name, "announces " + size);
  }
  if (height > kMostImageBytes || width > kMostImageBytes / height / channels) {
    refuse_image(name, "announces " + size + ", more than the " + std::to_string(kMostImageBytes) +
                           " bytes that an image may have");
  }
  const double least_bytes = static_cast<double>(height * width) * least_bits_a_pixel / 8.0;
  if (static_cast<double>(length_bytes) < least_bytes) {
    refuse_image(name, "is truncated: it announces " + size + ", which do not fit into its " +
                           std::to_string(length_bytes) + " bytes");
  }
  PlanarImage image{.channels = channels, .height = height, .width = width};
  image.pixels.resize(static_cast<std::size_t>(channels * height * width));
  return image;
}

void split_planes(std::span<const std::uint8_t> pixels, PlanarImage& image) {
  const auto plane = static_cast<std::size_t>(image.height * image.width);
  assert(image.channels == 3 && pixels.size() == 4 * plane);
  std::uint8_t* red = image.pixels.data();
  std::uint8_t* green = red + plane;
  std::uint8_t* blue = green + plane;
  const std::uint8_t* pixel = pixels.data();
  for (std::size_t i = 0; i < plane; ++i) {
    red[i] = pixel[4 * i];
    green[i] = pixel[4 * i + 1];
    blue[i] = pixel[4 * i + 2];
  }
}

}  // namespace gondola
