#pragma once

#include <cstdint>
#include <string>

namespace gondola {

/// The elementwise loops of a sine network on the CPU, for one instruction set. All blocks are
/// row-major [rows, width] and do not overlap; sums are added to.
template <typename T>
struct SineLoops {
  /// sine = sin(x + bias) and cosine = cos(x + bias), together. Where |x + bias| < 1e4 within 2
  /// units in the last place of results beyond 1/1000 (below, 2^-33 in float and 2^-62 in double);
  /// beyond, the C library's. bias [width]
  void (*sine)(std::int64_t rows, std::int64_t width, const T* bias, const T* x, T* sine,
               T* cosine);

  /// sine = sin(p_row + q) by angle addition, from the sines and cosines of p [rows, width] and of
  /// q [width]. Where p and q are large it is more exact than the sine of their rounded sum.
  void (*sum_sine)(std::int64_t rows, std::int64_t width, const T* sin_p, const T* cos_p,
                   const T* sin_q, const T* cos_q, T* sine);

  /// gradient *= cosine; sums [width] += its columns.
  void (*slope)(std::int64_t rows, std::int64_t width, const T* cosine, T* gradient, T* sums);

  /// The same where the gradient is a product with few terms: gradient = (residual weight) cosine.
  /// residual [rows, channels], weight [channels, width]; sums [width] += the columns.
  void (*last_slope)(std::int64_t rows, std::int64_t width, std::int64_t channels,
                     const T* residual, const T* weight, const T* cosine, T* gradient, T* sums);

  /// d = gradient cos(p_row + q), by angle addition and not kept: sums [3, width] += the columns of
  /// d, of d points[:, 0] and of d points[:, 1]. points [rows, 2]
  void (*first_slope)(std::int64_t rows, std::int64_t width, const T* points, const T* sin_p,
                      const T* cos_p, const T* sin_q, const T* cos_q, const T* gradient, T* sums);
};

/// The loops for the instruction set that ATen uses here (ATEN_CPU_CAPABILITY can lower it).
template <typename T>
[[nodiscard]] const SineLoops<T>& sine_loops();

/// For one instruction set, as loops_for() takes it. REQUIRES a processor that has it.
template <typename T>
[[nodiscard]] const SineLoops<T>& sine_loops_for(const std::string& capability);

}  // namespace gondola
