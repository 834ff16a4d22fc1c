#include "data/images/decode.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>
#include <string_view>

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "data/images/crop.hpp"
#include "data/images/decode_formats.hpp"
#include "data/images/instruction_set.hpp"

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

/// pixels [count, 4] -> three planes, `plane` bytes apart, from pixel `begin` on.
void split(const std::uint8_t* pixels, std::size_t begin, std::size_t count, std::size_t plane,
           std::uint8_t* out) {
  for (std::size_t i = begin; i < count; ++i) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      out[channel * plane + i] = pixels[4 * i + channel];
    }
  }
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void split_avx2(const std::uint8_t* pixels, std::size_t count,
                                        std::size_t plane, std::uint8_t* out) {
  const __m256i by_colour = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m256i together = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixels + 4 * i));
    const __m256i planes =
        _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(some, by_colour), together);
    const __m128i red_green = _mm256_castsi256_si128(planes);
    const __m128i blue = _mm256_extracti128_si256(planes, 1);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), red_green);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + plane + i),
                     _mm_unpackhi_epi64(red_green, red_green));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 2 * plane + i), blue);
  }
  split(pixels, i, count, plane, out);
}
#endif

}  // namespace

PlanarImage decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                         const ChooseWindow& choose) {
  if (bytes.empty()) {
    refuse_image(name, "is empty");
  }
  if (has_at(bytes, 0, "\xff\xd8")) {
    return decode_jpeg(bytes, name, choose);
  }
  const auto cut = [&](PlanarImage image) {
    if (!choose) return image;
    const Window window = choose(image.height, image.width);
    return crop(image, window.top, window.left, window.height, window.width);
  };
  if (has_at(bytes, 0, "\x89PNG")) {
    return cut(decode_png(bytes, name));
  }
  if (has_at(bytes, 0, "RIFF") && has_at(bytes, 8, "WEBP")) {
    return cut(decode_webp(bytes, name));
  }
  refuse_image(name, "is no JPEG, PNG or WebP (it begins with" + first_bytes(bytes) + ")");
}

void refuse_image(const std::string& name, const std::string& problem) {
  throw DataError(name + " " + problem + "; replace the picture, or leave it out");
}

void require_size(std::int64_t channels, std::int64_t height, std::int64_t width,
                  double least_bits_a_pixel, std::size_t length_bytes, const std::string& name) {
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
}

PlanarImage make_image(std::int64_t channels, std::int64_t height, std::int64_t width,
                       double least_bits_a_pixel, std::size_t length_bytes,
                       const std::string& name) {
  require_size(channels, height, width, least_bits_a_pixel, length_bytes, name);
  PlanarImage image{.channels = channels, .height = height, .width = width};
  image.pixels.resize(static_cast<std::size_t>(channels * height * width));
  return image;
}

void split_planes(std::span<const std::uint8_t> pixels, PlanarImage& image) {
  assert(pixels.size() == 4 * static_cast<std::size_t>(image.height * image.width));
  split_planes(pixels.data(), image.width, image);
}

void split_planes(const std::uint8_t* first, std::int64_t row_pixels, PlanarImage& image) {
  assert(image.channels == 3);
  const auto plane = static_cast<std::size_t>(image.height * image.width);
  // What lies in one run is taken as one row.
  const bool whole = row_pixels == image.width;
  const auto rows = whole ? 1 : image.height;
  const auto count = whole ? plane : static_cast<std::size_t>(image.width);
  std::uint8_t* out = image.pixels.data();
  for (std::int64_t row = 0; row < rows; ++row, first += 4 * row_pixels, out += count) {
#if defined(__x86_64__)
    if (instruction_set() != InstructionSet::kBase) {
      split_avx2(first, count, plane, out);
      continue;
    }
#endif
    split(first, 0, count, plane, out);
  }
}

}  // namespace gondola
