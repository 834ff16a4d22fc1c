#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/images/decode.hpp"
#include "data/images/planar_image.hpp"

namespace gondola {

// The parts of decode_image: one function a format, each thread-safe, and what they share.

[[nodiscard]] PlanarImage decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                                      const ChooseWindow& choose);
[[nodiscard]] PlanarImage decode_png(std::span<const std::uint8_t> bytes, const std::string& name);
[[nodiscard]] PlanarImage decode_webp(std::span<const std::uint8_t> bytes, const std::string& name);

/// @throws DataError: `name` `problem`, and the cure
[[noreturn]] void refuse_image(const std::string& name, const std::string& problem);

/// Before memory is taken: holds the size against kMostImageBytes, and the bits that the packed
/// pixels must have at least against `length_bytes`, the length of the file. @throws DataError
void require_size(std::int64_t channels, std::int64_t height, std::int64_t width,
                  double least_bits_a_pixel, std::size_t length_bytes, const std::string& name);

/// An image of these sizes with pixels of 0. @throws as require_size()
[[nodiscard]] PlanarImage make_image(std::int64_t channels, std::int64_t height, std::int64_t width,
                                     double least_bits_a_pixel, std::size_t length_bytes,
                                     const std::string& name);

/// Takes pixels of four bytes each, of which the fourth is dropped, into the planes of `image`.
/// REQUIRES three channels and 4 * height * width bytes.
void split_planes(std::span<const std::uint8_t> pixels, PlanarImage& image);

/// The same of a part, `image`, of pixels in rows of `row_pixels`, from `first` on.
void split_planes(const std::uint8_t* first, std::int64_t row_pixels, PlanarImage& image);

}  // namespace gondola
