#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/images/instruction_set.hpp"

namespace gondola {

/// What a new pixel is made of: the shape of the weights around its centre.
enum class Filter {
  kBox,       ///< The mean of the area; when it grows the image, the nearest pixel.
  kBilinear,  ///< A triangle.
  kBicubic,   ///< Keys's cubic with a = -0.5.
  kLanczos,   ///< A sinc windowed by a sinc of three times its width.
};

/// Resamples planes of 8-bit pixels to another size with half-pixel centres; where it shrinks them,
/// the filter is widened by the factor (antialiased). Two passes, each rounded half up to 8 bits
/// with 22-bit weights: along the rows first, but along the columns first where the height shrinks
/// by more than twice as many pixels as the width. Bit for bit what Pillow 13 gives (older versions
/// always began with the rows). Immutable: any number of threads may share one.
class Resizer {
 public:
  /// REQUIRES sizes of at least 1. What comes out does not depend on the instructions.
  Resizer(Filter filter, std::int64_t height, std::int64_t width, std::int64_t new_height,
          std::int64_t new_width, InstructionSet instructions = instruction_set());

  /// input [planes, height, width] -> output [planes, new_height, new_width].
  /// REQUIRES spans of those sizes.
  void resize(std::span<const std::uint8_t> input, std::span<std::uint8_t> output) const;

 private:
  /// Weights of one axis: output i sums inputs first[i] .. first[i]+taps[i]-1.
  struct Axis {
    std::int64_t inputs = 0, outputs = 0, most_taps = 0;
    std::vector<std::int64_t> first, taps;  ///< [outputs]
    std::vector<std::int32_t> weights;      ///< [outputs, most_taps] in fractions of 2^22; the sum
                                            ///< over an output's is 1.
  };

  [[nodiscard]] static Axis make_axis(Filter filter, std::int64_t inputs, std::int64_t outputs);
  void resize_rows(const Axis& axis, std::int64_t rows, const std::uint8_t* in,
                   std::uint8_t* out) const;
  void resize_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                      std::uint8_t* out) const;
  void resize_few_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                          std::uint8_t* out) const;

  InstructionSet instructions_;
  Axis vertical_, horizontal_;
};

}  // namespace gondola
