#pragma once

#include <cstdint>
#include <string>

namespace gondola {

/// What the derivative of the backward pass takes of each channel, [width] each:
///
///     c = tangent scale - level - (x - mean) along,   t = c gradient d^2 out / d y^2
///     of_gradient = c d out / d y
///     of_x = tangent of_tangent + h of_slope + t scale - level_x - (x - mean) along_x
template <typename T>
struct NormCurve {
  const T* mean;
  const T* scale;
  const T* level;
  const T* along;
  const T* of_tangent = nullptr;
  const T* of_slope = nullptr;
  const T* level_x = nullptr;
  const T* along_x = nullptr;
};

/// The loops of batch norm with an ELU behind it on the CPU, for one instruction set. All blocks
/// are row-major [rows, width], a row being the channels of one pixel; sums [width] are added to.
///
///     y = (x - mean) scale + shift,   out = y > 0 ? y : e^y - 1
///     h = gradient d out / d y
template <typename T>
struct NormLoops {
  /// sums += the columns of x.
  void (*sum)(std::int64_t rows, std::int64_t width, const T* x, double* sums);

  /// sums += the columns of (x - mean)^2.
  void (*squares)(std::int64_t rows, std::int64_t width, const T* x, const T* mean, double* sums);

  /// out of x. e^y - 1 is within 2 units in the last place of 1.
  void (*forward)(std::int64_t rows, std::int64_t width, const T* x, const T* mean, const T* scale,
                  const T* shift, T* out);

  /// of_shift += the columns of h, of_gain += those of h (x - mean).
  void (*slope_sums)(std::int64_t rows, std::int64_t width, const T* gradient, const T* out,
                     const T* x, const T* mean, double* of_shift, double* of_gain);

  /// of_x = (h - level - (x - mean) along) scale.
  void (*backward)(std::int64_t rows, std::int64_t width, const T* gradient, const T* out,
                   const T* x, const T* mean, const T* level, const T* along, const T* scale,
                   T* of_x);

  /// sums[0..2] += the columns of tangent, tangent (x - mean) and tangent h.
  void (*tangent_sums)(std::int64_t rows, std::int64_t width, const T* tangent, const T* gradient,
                       const T* out, const T* x, const T* mean, double* const (&sums)[3]);

  /// of_shift += the columns of t, of_gain += those of t (x - mean), of NormCurve.
  void (*curve_sums)(std::int64_t rows, std::int64_t width, const T* tangent, const T* gradient,
                     const T* out, const T* x, const NormCurve<T>& curve, double* of_shift,
                     double* of_gain);

  /// The derivative of `backward`, as NormCurve has it.
  void (*curve)(std::int64_t rows, std::int64_t width, const T* tangent, const T* gradient,
                const T* out, const T* x, const NormCurve<T>& curve, T* of_gradient, T* of_x);
};

/// The loops for the instruction set that ATen uses here.
template <typename T>
[[nodiscard]] const NormLoops<T>& norm_loops();

/// For one instruction set, as loops_for() takes it. REQUIRES a processor that has it.
template <typename T>
[[nodiscard]] const NormLoops<T>& norm_loops_for(const std::string& capability);

}  // namespace gondola
