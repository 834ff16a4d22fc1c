#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gondola {

/// Resamples planes of 8-bit pixels to another size, bilinearly with half-pixel centres; when it
/// shrinks, the triangle is widened by the factor (antialiased). Two passes, the one that shrinks
/// more first and rows before columns where both shrink alike, each rounded half up to 8 bits with
/// 22-bit weights: bit for bit what Pillow's BILINEAR gives.
class BilinearResizer {
 public:
  /// REQUIRES sizes of at least 1.
  BilinearResizer(std::int64_t height, std::int64_t width, std::int64_t new_height,
                  std::int64_t new_width);

  /// input [planes, height, width] -> output [planes, new_height, new_width].
  /// REQUIRES spans of those sizes.
  void resize(std::span<const std::uint8_t> input, std::span<std::uint8_t> output) const;

 private:
  /// Weights of one axis: output i sums inputs first[i] .. first[i]+taps-1; unused taps weigh 0.
  struct Axis {
    std::int64_t inputs = 0, outputs = 0, taps = 0;
    std::vector<std::int64_t> first;
    std::vector<std::int32_t> weights;  ///< [outputs, taps], sums to about 2^22.
  };

  [[nodiscard]] static Axis make_axis(std::int64_t inputs, std::int64_t outputs);
  static void resize_rows(const Axis& axis, std::int64_t rows, const std::uint8_t* in,
                          std::uint8_t* out);
  static void resize_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                             std::uint8_t* out);

  Axis vertical_, horizontal_;
};

}  // namespace gondola
