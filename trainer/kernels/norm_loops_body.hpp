// The loops of norm_loops.hpp, compiled once for each instruction set, as sine_loops_body.hpp is:
// what is said there holds here.

#include "trainer/kernels/norm_loops.hpp"

#define GONDOLA_VECTORISE _Pragma("GCC ivdep")

namespace gondola::GONDOLA_LOOPS {
namespace {

/// What e^y needs: y = k log 2 + r, |r| <= log(2) / 2, 2^k from its bits. Below kLowest, e^y - 1 is
/// -1 to the last place.
template <typename T>
struct Constants;

template <>
struct Constants<float> {
  using Bits = std::int32_t;
  static constexpr float kLowest = -20.0F;
  static constexpr float kRound = 12582912.0F;  // 1.5 2^23: adding it rounds to an integer
  static constexpr float kLog2[2] = {0.693145751953125F, 1.428606765330187e-6F};
  static constexpr int kMantissa = 23;
  static constexpr Bits kBias = 127;
  /// e^r - 1 by its series.
  static float series(float r) {
    float p = r * (1.0F / 5040) + 1.0F / 720;
    p = p * r + 1.0F / 120;
    p = p * r + 1.0F / 24;
    p = p * r + 1.0F / 6;
    p = p * r + 0.5F;
    return p * (r * r) + r;
  }
};

template <>
struct Constants<double> {
  using Bits = std::int64_t;
  static constexpr double kLowest = -40.0;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 2^52
  static constexpr double kLog2[2] = {6.93147180369123816490e-1, 1.90821492927058770002e-10};
  static constexpr int kMantissa = 52;
  static constexpr Bits kBias = 1023;
  static double series(double r) {
    double p = r * (1.0 / 6227020800) + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    return p * (r * r) + r;
  }
};

/// e^y - 1 for y <= 0, and 0 for what is not.
template <typename T>
inline T exponential_less_one(T y) {
  using C = Constants<T>;
  using Bits = typename C::Bits;
  const T x = y < 0 ? (y > C::kLowest ? y : C::kLowest) : T{0};
  const T rounded = x * static_cast<T>(1.44269504088896340736) + C::kRound;
  const T k = rounded - C::kRound;
  const Bits exponent =
      __builtin_bit_cast(Bits, rounded) - __builtin_bit_cast(Bits, C::kRound) + C::kBias;
  const T power = __builtin_bit_cast(T, exponent << C::kMantissa);
  const T r = (x - k * C::kLog2[0]) - k * C::kLog2[1];
  return power * C::series(r) + (power - 1);
}

/// Rows whose sum is taken in T before it is added in double, and columns at a time.
constexpr std::int64_t kRowsInT = 32;
constexpr std::int64_t kColumns = 64;

/// sums[i][j] += the sum of value(row, j).of[i] over the rows.
template <int kSums, typename T, typename F>
inline void sum_columns(std::int64_t rows, std::int64_t width, double* const (&sums)[kSums],
                        const F& value) {
  for (std::int64_t begin = 0; begin < width; begin += kColumns) {
    const std::int64_t count = width - begin < kColumns ? width - begin : kColumns;
    for (std::int64_t first = 0; first < rows; first += kRowsInT) {
      const std::int64_t end = rows - first < kRowsInT ? rows : first + kRowsInT;
      T part[kSums][kColumns] = {};
      for (std::int64_t row = first; row < end; ++row) {
        GONDOLA_VECTORISE
        for (std::int64_t j = 0; j < count; ++j) {
          const auto values = value(row, begin + j);
          for (int i = 0; i < kSums; ++i) part[i][j] += values.of[i];
        }
      }
      for (int i = 0; i < kSums; ++i) {
        GONDOLA_VECTORISE
        for (std::int64_t j = 0; j < count; ++j) {
          sums[i][begin + j] += static_cast<double>(part[i][j]);
        }
      }
    }
  }
}

template <typename T, int kSums>
struct Values {
  T of[kSums];
};

template <typename T>
void sum(std::int64_t rows, std::int64_t width, const T* __restrict x, double* sums) {
  sum_columns<1, T>(rows, width, {sums}, [=](std::int64_t row, std::int64_t j) {
    return Values<T, 1>{{x[row * width + j]}};
  });
}

template <typename T>
void squares(std::int64_t rows, std::int64_t width, const T* __restrict x, const T* __restrict mean,
             double* sums) {
  sum_columns<1, T>(rows, width, {sums}, [=](std::int64_t row, std::int64_t j) {
    const T centered = x[row * width + j] - mean[j];
    return Values<T, 1>{{centered * centered}};
  });
}

template <typename T>
void forward(std::int64_t rows, std::int64_t width, const T* __restrict x, const T* __restrict mean,
             const T* __restrict scale, const T* __restrict shift, T* __restrict out) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = row * width;
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T y = (x[at + j] - mean[j]) * scale[j] + shift[j];
      const T below = exponential_less_one(y);
      out[at + j] = y <= 0 ? below : y;  // and what is not a number stays so
    }
  }
}

/// gradient d out / d y.
template <typename T>
inline T slope(T gradient, T out) {
  return out <= 0 ? gradient * (out + 1) : gradient;
}

template <typename T>
void slope_sums(std::int64_t rows, std::int64_t width, const T* __restrict gradient,
                const T* __restrict out, const T* __restrict x, const T* __restrict mean,
                double* of_shift, double* of_gain) {
  sum_columns<2, T>(rows, width, {of_shift, of_gain}, [=](std::int64_t row, std::int64_t j) {
    const auto at = row * width + j;
    const T h = slope(gradient[at], out[at]);
    return Values<T, 2>{{h, h * (x[at] - mean[j])}};
  });
}

template <typename T>
void backward(std::int64_t rows, std::int64_t width, const T* __restrict gradient,
              const T* __restrict out, const T* __restrict x, const T* __restrict mean,
              const T* __restrict level, const T* __restrict along, const T* __restrict scale,
              T* __restrict of_x) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = row * width;
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T h = slope(gradient[at + j], out[at + j]);
      of_x[at + j] = (h - level[j] - (x[at + j] - mean[j]) * along[j]) * scale[j];
    }
  }
}

template <typename T>
void tangent_sums(std::int64_t rows, std::int64_t width, const T* __restrict tangent,
                  const T* __restrict gradient, const T* __restrict out, const T* __restrict x,
                  const T* __restrict mean, double* const (&sums)[3]) {
  sum_columns<3, T>(rows, width, sums, [=](std::int64_t row, std::int64_t j) {
    const auto at = row * width + j;
    const T v = tangent[at];
    return Values<T, 3>{{v, v * (x[at] - mean[j]), v * slope(gradient[at], out[at])}};
  });
}

/// The pointers of a NormCurve, none of which is where a result goes.
template <typename T>
struct Curve {
  const T* __restrict mean;
  const T* __restrict scale;
  const T* __restrict level;
  const T* __restrict along;
  const T* __restrict of_tangent;
  const T* __restrict of_slope;
  const T* __restrict level_x;
  const T* __restrict along_x;

  explicit Curve(const NormCurve<T>& c)
      : mean(c.mean),
        scale(c.scale),
        level(c.level),
        along(c.along),
        of_tangent(c.of_tangent),
        of_slope(c.of_slope),
        level_x(c.level_x),
        along_x(c.along_x) {}
};

/// c h below 0, where an ELU's slope is its own derivative; 0 above, and at the kink, as
/// activation.hpp has it.
template <typename T>
inline T bend(T c, T h, T out) {
  return out < 0 ? c * h : T{0};
}

template <typename T>
void curve_sums(std::int64_t rows, std::int64_t width, const T* __restrict tangent,
                const T* __restrict gradient, const T* __restrict out, const T* __restrict x,
                const NormCurve<T>& curve, double* of_shift, double* of_gain) {
  const Curve<T> of(curve);
  sum_columns<2, T>(rows, width, {of_shift, of_gain}, [=](std::int64_t row, std::int64_t j) {
    const auto at = row * width + j;
    const T centered = x[at] - of.mean[j];
    const T c = tangent[at] * of.scale[j] - of.level[j] - centered * of.along[j];
    const T t = bend(c, slope(gradient[at], out[at]), out[at]);
    return Values<T, 2>{{t, t * centered}};
  });
}

template <typename T>
void curve(std::int64_t rows, std::int64_t width, const T* __restrict tangent,
           const T* __restrict gradient, const T* __restrict out, const T* __restrict x,
           const NormCurve<T>& channels, T* __restrict of_gradient, T* __restrict of_x) {
  const Curve<T> of(channels);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = row * width;
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T v = tangent[at + j];
      const T centered = x[at + j] - of.mean[j];
      const T h = slope(gradient[at + j], out[at + j]);
      const T c = v * of.scale[j] - of.level[j] - centered * of.along[j];
      of_gradient[at + j] = slope(c, out[at + j]);
      of_x[at + j] = v * of.of_tangent[j] + h * of.of_slope[j] +
                     bend(c, h, out[at + j]) * of.scale[j] - of.level_x[j] -
                     centered * of.along_x[j];
    }
  }
}

template <typename T>
constexpr NormLoops<T> kLoops = {
    .sum = &sum<T>,
    .squares = &squares<T>,
    .forward = &forward<T>,
    .slope_sums = &slope_sums<T>,
    .backward = &backward<T>,
    .tangent_sums = &tangent_sums<T>,
    .curve_sums = &curve_sums<T>,
    .curve = &curve<T>,
};

}  // namespace

extern const NormLoops<float> kFloatNormLoops;
extern const NormLoops<double> kDoubleNormLoops;
const NormLoops<float> kFloatNormLoops = kLoops<float>;
const NormLoops<double> kDoubleNormLoops = kLoops<double>;

}  // namespace gondola::GONDOLA_LOOPS
