#include "data/images/resize.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numbers>

namespace gondola {
namespace {

using WeightPair = Resizer::WeightPair;

constexpr int kWeightBits = 22;  // 8 bits of pixel + 22 of weight leave two bits of a 32-bit sum
constexpr int kLowerBits = 11;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

/// Half the width of a filter in pixels.
double reach_of(Filter filter) {
  switch (filter) {
    case Filter::kBox:
      return 0.5;
    case Filter::kBilinear:
      return 1.0;
    case Filter::kBicubic:
      return 2.0;
    case Filter::kLanczos:
      return 3.0;
  }
  return 0.0;
}

double sinc(double x) {
  return x == 0.0 ? 1.0 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi);
}

/// The weight at distance x, not normalised.
double weight_at(Filter filter, double x) {
  const double distance = std::abs(x);
  switch (filter) {
    case Filter::kBox:
      return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    case Filter::kBilinear:
      return distance < 1.0 ? 1.0 - distance : 0.0;
    case Filter::kBicubic: {
      constexpr double a = -0.5;
      if (distance < 1.0) return ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0;
      if (distance < 2.0) return (((distance - 5.0) * distance + 8.0) * distance - 4.0) * a;
      return 0.0;
    }
    case Filter::kLanczos:
      return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
  }
  return 0.0;
}

std::int32_t to_fixed(double weight) {
  return static_cast<std::int32_t>(weight * (1 << kWeightBits) + (weight < 0.0 ? -0.5 : 0.5));
}

constexpr std::int64_t kAtOnce = 16;      // columns
constexpr std::int64_t kRowsAtOnce = 64;  // a multiple of kAtOnce

/// For kAtOnce columns: out[column] = the weighted sum over pairs of rows, `stride` apart. Where
/// `taps` is odd, the last pair is one row.
void sum_columns(const std::uint8_t* in, std::int64_t stride, const WeightPair* weights,
                 std::int64_t taps, std::uint8_t* out) {
#if defined(__SSE2__)
  // Two products and their sum in one instruction, four times; the halves of the weights apart.
  const __m128i zero = _mm_setzero_si128();
  __m128i upper[4] = {zero, zero, zero, zero}, lower[4] = {zero, zero, zero, zero};
  for (std::int64_t tap = 0; tap < taps; tap += 2, in += 2 * stride, ++weights) {
    const auto* one = reinterpret_cast<const __m128i*>(in);
    const auto* next = reinterpret_cast<const __m128i*>(tap + 1 < taps ? in + stride : in);
    const __m128i a = _mm_loadu_si128(one), b = _mm_loadu_si128(next);
    const __m128i first = _mm_unpacklo_epi8(a, b), last = _mm_unpackhi_epi8(a, b);
    const __m128i pixels[4] = {_mm_unpacklo_epi8(first, zero), _mm_unpackhi_epi8(first, zero),
                               _mm_unpacklo_epi8(last, zero), _mm_unpackhi_epi8(last, zero)};
    std::int32_t upper_pair = 0, lower_pair = 0;
    std::memcpy(&upper_pair, weights->upper.data(), sizeof(upper_pair));
    std::memcpy(&lower_pair, weights->lower.data(), sizeof(lower_pair));
    const __m128i upper_weights = _mm_set1_epi32(upper_pair);
    const __m128i lower_weights = _mm_set1_epi32(lower_pair);
    for (std::size_t i = 0; i < 4; ++i) {
      upper[i] = _mm_add_epi32(upper[i], _mm_madd_epi16(pixels[i], upper_weights));
      lower[i] = _mm_add_epi32(lower[i], _mm_madd_epi16(pixels[i], lower_weights));
    }
  }
  const __m128i half = _mm_set1_epi32(kHalf);
  for (std::size_t i = 0; i < 4; ++i) {
    const __m128i sum = _mm_add_epi32(_mm_slli_epi32(upper[i], kLowerBits), lower[i]);
    upper[i] = _mm_srai_epi32(_mm_add_epi32(sum, half), kWeightBits);
  }
  const __m128i bytes =
      _mm_packus_epi16(_mm_packs_epi32(upper[0], upper[1]), _mm_packs_epi32(upper[2], upper[3]));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
#else
  std::array<std::int32_t, kAtOnce> sums;
  sums.fill(kHalf);
  for (std::int64_t tap = 0; tap < taps; ++tap, in += stride) {
    const WeightPair& pair = weights[tap / 2];
    const auto of_pair = static_cast<std::size_t>(tap % 2);
    const std::int32_t weight = pair.upper[of_pair] * (1 << kLowerBits) + pair.lower[of_pair];
    for (std::size_t column = 0; column < kAtOnce; ++column) {
      sums[column] += in[column] * weight;
    }
  }
  for (std::size_t column = 0; column < kAtOnce; ++column) {
    out[column] = static_cast<std::uint8_t>(std::clamp(sums[column] >> kWeightBits, 0, 255));
  }
#endif
}

/// Turns eight rows of eight bytes into columns: swaps blocks of 4x4, 2x2 and 1x1 bytes.
void transpose_8x8(const std::uint8_t* in, std::int64_t in_stride, std::uint8_t* out,
                   std::int64_t out_stride) {
  std::array<std::uint64_t, 8> rows;
  for (std::size_t row = 0; row < 8; ++row, in += in_stride) {
    std::memcpy(&rows[row], in, 8);
  }
  const auto swap = [&rows](std::size_t upper, std::size_t lower, int bits, std::uint64_t mask) {
    const std::uint64_t changed = ((rows[upper] >> bits) ^ rows[lower]) & mask;
    rows[upper] ^= changed << bits;
    rows[lower] ^= changed;
  };
  for (const std::size_t row : {0, 1, 2, 3}) swap(row, row + 4, 32, 0x00000000FFFFFFFF);
  for (const std::size_t row : {0, 1, 4, 5}) swap(row, row + 2, 16, 0x0000FFFF0000FFFF);
  for (const std::size_t row : {0, 2, 4, 6}) swap(row, row + 1, 8, 0x00FF00FF00FF00FF);
  for (std::size_t row = 0; row < 8; ++row, out += out_stride) {
    std::memcpy(out, &rows[row], 8);
  }
}

/// in [rows, columns] with rows in_stride apart -> out [columns, rows] with rows out_stride apart.
void transpose(const std::uint8_t* in, std::int64_t in_stride, std::int64_t rows,
               std::int64_t columns, std::uint8_t* out, std::int64_t out_stride) {
  const bool in_blocks = std::endian::native == std::endian::little;
  const std::int64_t block_rows = in_blocks ? rows - rows % 8 : 0;
  const std::int64_t block_columns = in_blocks ? columns - columns % 8 : 0;
  for (std::int64_t row = 0; row < block_rows; row += 8) {
    for (std::int64_t column = 0; column < block_columns; column += 8) {
      transpose_8x8(in + row * in_stride + column, in_stride, out + column * out_stride + row,
                    out_stride);
    }
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = row < block_rows ? block_columns : 0; column < columns; ++column) {
      out[column * out_stride + row] = in[row * in_stride + column];
    }
  }
}

}  // namespace

Resizer::Resizer(Filter filter, std::int64_t height, std::int64_t width, std::int64_t new_height,
                 std::int64_t new_width)
    : vertical_(make_axis(filter, height, new_height)),
      horizontal_(make_axis(filter, width, new_width)) {}

Resizer::Axis Resizer::make_axis(Filter filter, std::int64_t inputs, std::int64_t outputs) {
  assert(inputs >= 1 && outputs >= 1);
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double widening = std::max(scale, 1.0);
  const double reach = reach_of(filter) * widening;

  Axis axis;
  axis.inputs = inputs;
  axis.outputs = outputs;
  const std::int64_t most_taps =
      std::min(inputs, 2 * static_cast<std::int64_t>(std::ceil(reach)) + 1);
  axis.most_pairs = (most_taps + 1) / 2;
  axis.weights.resize(static_cast<std::size_t>(outputs * axis.most_pairs));
  std::vector<double> shape(static_cast<std::size_t>(most_taps));
  for (std::int64_t output = 0; output < outputs; ++output) {
    const double centre = (static_cast<double>(output) + 0.5) * scale;
    const auto begin = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto end =
        std::min<std::int64_t>(inputs, static_cast<std::int64_t>(centre + reach + 0.5));
    const auto count = static_cast<std::size_t>(end - begin);
    double sum = 0.0;
    for (std::size_t tap = 0; tap < count; ++tap) {
      const double place = static_cast<double>(begin) + static_cast<double>(tap);
      sum += shape[tap] = weight_at(filter, (place - centre + 0.5) * (1.0 / widening));
    }
    WeightPair* pairs = axis.weights.data() + output * axis.most_pairs;
    for (std::size_t tap = 0; tap < count; ++tap) {
      const std::int32_t weight = to_fixed(sum == 0.0 ? shape[tap] : shape[tap] / sum);
      pairs[tap / 2].upper[tap % 2] = static_cast<std::int16_t>(weight >> kLowerBits);
      pairs[tap / 2].lower[tap % 2] = static_cast<std::int16_t>(weight & ((1 << kLowerBits) - 1));
    }
    axis.first.push_back(begin);
    axis.taps.push_back(end - begin);
  }
  return axis;
}

void Resizer::resize_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                             std::uint8_t* out) {
  if (columns < kAtOnce) {
    resize_few_columns(axis, columns, in, out);
    return;
  }
  for (std::int64_t row = 0; row < axis.outputs; ++row, out += columns) {
    const auto i = static_cast<std::size_t>(row);
    const WeightPair* weights = axis.weights.data() + row * axis.most_pairs;
    const std::uint8_t* from = in + axis.first[i] * columns;
    for (std::int64_t column = 0; column < columns; column += kAtOnce) {
      const std::int64_t at = std::min(column, columns - kAtOnce);  // the last may overlap
      sum_columns(from + at, columns, weights, axis.taps[i], out + at);
    }
  }
}

void Resizer::resize_few_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                                 std::uint8_t* out) {
  std::vector<std::uint8_t> wide_in(static_cast<std::size_t>(axis.inputs * kAtOnce));
  std::vector<std::uint8_t> wide_out(static_cast<std::size_t>(axis.outputs * kAtOnce));
  for (std::int64_t row = 0; row < axis.inputs; ++row) {
    std::copy_n(in + row * columns, columns, wide_in.data() + row * kAtOnce);
  }
  resize_columns(axis, kAtOnce, wide_in.data(), wide_out.data());
  for (std::int64_t row = 0; row < axis.outputs; ++row) {
    std::copy_n(wide_out.data() + row * kAtOnce, columns, out + row * columns);
  }
}

void Resizer::resize_rows(const Axis& axis, std::int64_t rows, const std::uint8_t* in,
                          std::uint8_t* out) {
  // Rows are laid beside each other as columns, a block of them at a time.
  const std::int64_t most = std::min(kRowsAtOnce, (rows + kAtOnce - 1) / kAtOnce * kAtOnce);
  std::vector<std::uint8_t> turned(static_cast<std::size_t>(axis.inputs * most));
  std::vector<std::uint8_t> made(static_cast<std::size_t>(axis.outputs * most));
  for (std::int64_t row = 0; row < rows; row += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, rows - row);
    const std::int64_t columns = (count + kAtOnce - 1) / kAtOnce * kAtOnce;
    transpose(in + row * axis.inputs, axis.inputs, count, axis.inputs, turned.data(), columns);
    resize_columns(axis, columns, turned.data(), made.data());
    transpose(made.data(), columns, axis.outputs, count, out + row * axis.outputs, axis.outputs);
  }
}

void Resizer::resize(std::span<const std::uint8_t> input, std::span<std::uint8_t> output) const {
  const std::int64_t in_plane = vertical_.inputs * horizontal_.inputs;
  const std::int64_t out_plane = vertical_.outputs * horizontal_.outputs;
  const auto planes = static_cast<std::int64_t>(input.size()) / in_plane;
  assert(static_cast<std::int64_t>(input.size()) == planes * in_plane);
  assert(static_cast<std::int64_t>(output.size()) == planes * out_plane);

  const bool rows_stay = horizontal_.inputs == horizontal_.outputs;
  const bool columns_stay = vertical_.inputs == vertical_.outputs;
  // Pillow's rule; the pixels depend on it.
  const std::int64_t fewer_rows = vertical_.inputs - vertical_.outputs;
  const std::int64_t fewer_columns = horizontal_.inputs - horizontal_.outputs;
  const bool columns_first = fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
  std::vector<std::uint8_t> between;
  if (!rows_stay && !columns_stay) {
    between.resize(static_cast<std::size_t>(columns_first
                                                ? vertical_.outputs * horizontal_.inputs
                                                : vertical_.inputs * horizontal_.outputs));
  }
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    const std::uint8_t* in = input.data() + plane * in_plane;
    std::uint8_t* out = output.data() + plane * out_plane;
    if (rows_stay && columns_stay) {
      std::copy_n(in, in_plane, out);
    } else if (rows_stay) {
      resize_columns(vertical_, horizontal_.inputs, in, out);
    } else if (columns_stay) {
      resize_rows(horizontal_, vertical_.inputs, in, out);
    } else if (columns_first) {
      resize_columns(vertical_, horizontal_.inputs, in, between.data());
      resize_rows(horizontal_, vertical_.outputs, between.data(), out);
    } else {
      resize_rows(horizontal_, vertical_.inputs, in, between.data());
      resize_columns(vertical_, horizontal_.outputs, between.data(), out);
    }
  }
}

}  // namespace gondola
