#include "data/images/resize.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numbers>

#include "data/images/instruction_set.hpp"

namespace gondola {
namespace {

constexpr int kWeightBits = 22;  // 8 bits of pixel + 22 of weight leave two bits of a 32-bit sum
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

constexpr std::int64_t kAtOnce = 16;       // columns
constexpr std::int64_t kRowsAtOnce = 256;  // a multiple of kAtOnce

/// For some columns: out[column] = the weighted sum over `taps` rows, `stride` apart.
using SumColumns = void(const std::uint8_t* in, std::int64_t stride, const std::int32_t* weights,
                        std::int64_t taps, std::uint8_t* out);

/// Of 16 columns, by any processor.
void sum_columns_base(const std::uint8_t* in, std::int64_t stride, const std::int32_t* weights,
                      std::int64_t taps, std::uint8_t* out) {
  std::array<std::int32_t, kAtOnce> sums;
  sums.fill(kHalf);
  for (std::int64_t tap = 0; tap < taps; ++tap, in += stride) {
    for (std::size_t column = 0; column < kAtOnce; ++column) {
      sums[column] += in[column] * weights[tap];
    }
  }
  for (std::size_t column = 0; column < kAtOnce; ++column) {
    out[column] = static_cast<std::uint8_t>(std::clamp(sums[column] >> kWeightBits, 0, 255));
  }
}

#if defined(__x86_64__)
/// Of 32 columns.
[[gnu::target("avx2")]] void sum_columns_avx2(const std::uint8_t* in, std::int64_t stride,
                                              const std::int32_t* weights, std::int64_t taps,
                                              std::uint8_t* out) {
  const __m256i half = _mm256_set1_epi32(kHalf);
  __m256i sums[4] = {half, half, half, half};
  for (std::int64_t tap = 0; tap < taps; ++tap, in += stride) {
    const __m256i weight = _mm256_set1_epi32(weights[tap]);
    for (int i = 0; i < 4; ++i) {
      const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(in + 8 * i));
      sums[i] = _mm256_add_epi32(sums[i], _mm256_mullo_epi32(_mm256_cvtepu8_epi32(eight), weight));
    }
  }
  for (__m256i& sum : sums) sum = _mm256_srai_epi32(sum, kWeightBits);
  // Packing works in halves of the register.
  const __m256i mixed = _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]),
                                            _mm256_packs_epi32(sums[2], sums[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(mixed, order));
}

/// Of 64 columns.
[[gnu::target("avx512bw,avx512vl")]] void sum_columns_avx512(const std::uint8_t* in,
                                                             std::int64_t stride,
                                                             const std::int32_t* weights,
                                                             std::int64_t taps, std::uint8_t* out) {
  constexpr __mmask16 kAll = 0xFFFF;  // what takes no mask has GCC 12 warn of its own header
  const __m512i half = _mm512_set1_epi32(kHalf);
  __m512i sums[4] = {half, half, half, half};
  for (std::int64_t tap = 0; tap < taps; ++tap, in += stride) {
    const __m512i weight = _mm512_set1_epi32(weights[tap]);
    for (int i = 0; i < 4; ++i) {
      const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 16 * i));
      sums[i] = _mm512_add_epi32(
          sums[i], _mm512_mullo_epi32(_mm512_maskz_cvtepu8_epi32(kAll, some), weight));
    }
  }
  for (int i = 0; i < 4; ++i) {
    const __m512i sum = _mm512_maskz_max_epi32(
        kAll, _mm512_maskz_srai_epi32(kAll, sums[i], kWeightBits), __m512i{});
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * i),
                     _mm512_maskz_cvtusepi32_epi8(kAll, sum));
  }
}
#endif

struct Kernel {
  std::int64_t columns;
  SumColumns* sum;
};

/// The widest for so many columns. REQUIRES kAtOnce columns at least.
Kernel kernel_for(std::int64_t columns, [[maybe_unused]] InstructionSet has) {
#if defined(__x86_64__)
  if (columns >= 64 && has == InstructionSet::kAvx512) return {64, sum_columns_avx512};
  if (columns >= 32 && has != InstructionSet::kBase) return {32, sum_columns_avx2};
#endif
  return {kAtOnce, sum_columns_base};
}

/// Turns eight rows of eight bytes into columns.
void transpose_8x8(const std::uint8_t* in, std::int64_t in_stride, std::uint8_t* out,
                   std::int64_t out_stride) {
  typedef std::uint8_t Bytes __attribute__((vector_size(16)));
  typedef std::uint16_t Pairs __attribute__((vector_size(16)));
  typedef std::uint32_t Fours __attribute__((vector_size(16)));
  typedef std::uint64_t Eights __attribute__((vector_size(16)));
  Bytes rows[8];
  for (auto& row : rows) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, in, sizeof(eight));
    row = reinterpret_cast<Bytes>(Eights{eight, 0});
    in += in_stride;
  }
  Pairs two[4];  // rows 2i and 2i+1
  for (int i = 0; i < 4; ++i) {
    two[i] = reinterpret_cast<Pairs>(__builtin_shufflevector(
        rows[2 * i], rows[2 * i + 1], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  }
  Fours four[4];  // of rows 0-3 the first and last columns, of rows 4-7 likewise
  for (int i = 0; i < 2; ++i) {
    four[2 * i] = reinterpret_cast<Fours>(
        __builtin_shufflevector(two[2 * i], two[2 * i + 1], 0, 8, 1, 9, 2, 10, 3, 11));
    four[2 * i + 1] = reinterpret_cast<Fours>(
        __builtin_shufflevector(two[2 * i], two[2 * i + 1], 4, 12, 5, 13, 6, 14, 7, 15));
  }
  const auto store = [&](const Fours& two_columns) {
    const auto halves = reinterpret_cast<Eights>(two_columns);
    for (int i = 0; i < 2; ++i, out += out_stride) {
      const std::uint64_t eight = halves[i];
      std::memcpy(out, &eight, sizeof(eight));
    }
  };
  for (int i = 0; i < 2; ++i) {
    store(__builtin_shufflevector(four[i], four[i + 2], 0, 4, 1, 5));
    store(__builtin_shufflevector(four[i], four[i + 2], 2, 6, 3, 7));
  }
}

/// in [rows, columns] with rows in_stride apart -> out [columns, rows] with rows out_stride apart.
void transpose(const std::uint8_t* in, std::int64_t in_stride, std::int64_t rows,
               std::int64_t columns, std::uint8_t* out, std::int64_t out_stride) {
  const std::int64_t block_rows = rows - rows % 8;
  const std::int64_t block_columns = columns - columns % 8;
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
                 std::int64_t new_width, InstructionSet instructions)
    : instructions_(instructions),
      vertical_(make_axis(filter, height, new_height)),
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
  axis.most_taps = most_taps;
  axis.weights.resize(static_cast<std::size_t>(outputs * most_taps));
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
    std::int32_t* weights = axis.weights.data() + output * most_taps;
    for (std::size_t tap = 0; tap < count; ++tap) {
      weights[tap] = to_fixed(sum == 0.0 ? shape[tap] : shape[tap] / sum);
    }
    axis.first.push_back(begin);
    axis.taps.push_back(end - begin);
  }
  return axis;
}

void Resizer::resize_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                             std::uint8_t* out) const {
  if (columns < kAtOnce) {
    resize_few_columns(axis, columns, in, out);
    return;
  }
  const Kernel kernel = kernel_for(columns, instructions_);
  for (std::int64_t row = 0; row < axis.outputs; ++row, out += columns) {
    const auto i = static_cast<std::size_t>(row);
    const std::int32_t* weights = axis.weights.data() + row * axis.most_taps;
    const std::uint8_t* from = in + axis.first[i] * columns;
    for (std::int64_t column = 0; column < columns; column += kernel.columns) {
      const std::int64_t at = std::min(column, columns - kernel.columns);  // the last may overlap
      kernel.sum(from + at, columns, weights, axis.taps[i], out + at);
    }
  }
}

void Resizer::resize_few_columns(const Axis& axis, std::int64_t columns, const std::uint8_t* in,
                                 std::uint8_t* out) const {
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
                          std::uint8_t* out) const {
  // Rows are laid beside each other as columns, a block of them at a time.
  const std::int64_t most = std::min(kRowsAtOnce, (rows + kAtOnce - 1) / kAtOnce * kAtOnce);
  thread_local std::vector<std::uint8_t> turned, made;
  turned.resize(static_cast<std::size_t>(axis.inputs * most));
  made.resize(static_cast<std::size_t>(axis.outputs * most));
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
  const auto planes = static_cast<std::int64_t>(input.size()) / in_plane;
  assert(static_cast<std::int64_t>(input.size()) == planes * in_plane);
  assert(static_cast<std::int64_t>(output.size()) ==
         planes * vertical_.outputs * horizontal_.outputs);

  const bool rows_stay = horizontal_.inputs == horizontal_.outputs;
  const bool columns_stay = vertical_.inputs == vertical_.outputs;
  // Pillow's rule; the pixels depend on it.
  const std::int64_t fewer_rows = vertical_.inputs - vertical_.outputs;
  const std::int64_t fewer_columns = horizontal_.inputs - horizontal_.outputs;
  const bool columns_first = fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
  thread_local std::vector<std::uint8_t> between;
  if (!rows_stay && !columns_stay) {
    between.resize(static_cast<std::size_t>(
        planes * (columns_first ? vertical_.outputs * horizontal_.inputs
                                : vertical_.inputs * horizontal_.outputs)));
  }
  const auto resize_all_columns = [&](std::int64_t columns, const std::uint8_t* in,
                                      std::uint8_t* out) {
    for (std::int64_t plane = 0; plane < planes; ++plane) {
      resize_columns(vertical_, columns, in + plane * vertical_.inputs * columns,
                     out + plane * vertical_.outputs * columns);
    }
  };
  // The rows of all planes go together: their number is rarely one of whole vectors.
  if (rows_stay && columns_stay) {
    std::copy(input.begin(), input.end(), output.begin());
  } else if (rows_stay) {
    resize_all_columns(horizontal_.inputs, input.data(), output.data());
  } else if (columns_stay) {
    resize_rows(horizontal_, planes * vertical_.inputs, input.data(), output.data());
  } else if (columns_first) {
    resize_all_columns(horizontal_.inputs, input.data(), between.data());
    resize_rows(horizontal_, planes * vertical_.outputs, between.data(), output.data());
  } else {
    resize_rows(horizontal_, planes * vertical_.inputs, input.data(), between.data());
    resize_all_columns(horizontal_.outputs, between.data(), output.data());
  }
}

}  // namespace gondola
