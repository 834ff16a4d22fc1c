// The loops of sine_loops.hpp, compiled once for each instruction set: a source file defines
// GONDOLA_LOOPS, the namespace, and includes this. Only builtin functions of the compiler may be
// called here, lest an inline function of a header be compiled for an instruction set that another
// file's caller lacks. No file but those may include it.

#include "trainer/kernels/sine_loops.hpp"

#define GONDOLA_VECTORISE _Pragma("GCC ivdep")

namespace gondola::GONDOLA_LOOPS {
namespace {

/// sin and cos on [-pi/4, pi/4] and pi/2 in three parts (coefficients: Moshier's Cephes). The
/// first two parts have so few bits that their products with a quadrant below 2^13 are exact.
template <typename T>
struct Constants;

template <>
struct Constants<float> {
  using Bits = std::int32_t;
  static constexpr int kSignShift = 30;  // moves bit 1 to the sign
  static constexpr Bits kMagnitude = 0x7fffffff;
  static constexpr float kRound = 12582912.0F;  // 1.5 2^23: adding it rounds to an integer
  static constexpr float kLargest = 1e4F;
  static constexpr float kPi2[3] = {1.5703125F, 4.837512969970703125e-4F, 7.54978995489188216e-8F};
  static float sine(float r, float r2) {
    const float p = (-1.9515295891e-4F * r2 + 8.3321608736e-3F) * r2 - 1.6666654611e-1F;
    return p * (r2 * r) + r;
  }
  static float cosine(float r2) {
    const float p =
        (2.443315711809948e-5F * r2 - 1.388731625493765e-3F) * r2 + 4.166664568298827e-2F;
    return p * (r2 * r2) + (1.0F - 0.5F * r2);
  }
};

template <>
struct Constants<double> {
  using Bits = std::int64_t;
  static constexpr int kSignShift = 62;
  static constexpr Bits kMagnitude = 0x7fffffffffffffff;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 2^52
  static constexpr double kLargest = 1e4;
  static constexpr double kPi2[3] = {1.57079625129699707031, 7.54978941586159635336e-8,
                                     5.39030285815811905290e-15};
  static double sine(double r, double r2) {
    double p = 1.58962301576546568060e-10 * r2 - 2.50507477628578072866e-8;
    p = p * r2 + 2.75573136213857245213e-6;
    p = p * r2 - 1.98412698295895385996e-4;
    p = p * r2 + 8.33333333332211858878e-3;
    p = p * r2 - 1.66666666666666307295e-1;
    return p * (r2 * r) + r;
  }
  static double cosine(double r2) {
    double p = -1.13585365213876817300e-11 * r2 + 2.08757008419747316778e-9;
    p = p * r2 - 2.75573141792967388112e-7;
    p = p * r2 + 2.48015872888517045348e-5;
    p = p * r2 - 1.38888888888730564116e-3;
    p = p * r2 + 4.16666666666665929218e-2;
    return p * (r2 * r2) + (1.0 - 0.5 * r2);
  }
};

inline void library_sincos(float x, float& s, float& c) {
  s = __builtin_sinf(x);
  c = __builtin_cosf(x);
}

inline void library_sincos(double x, double& s, double& c) {
  s = __builtin_sin(x);
  c = __builtin_cos(x);
}

template <typename T>
void sine(std::int64_t rows, std::int64_t width, const T* __restrict bias, const T* __restrict x,
          T* __restrict sine, T* __restrict cosine) {
  using C = Constants<T>;
  using Bits = typename C::Bits;
  for (std::int64_t row = 0; row < rows; ++row, x += width, sine += width, cosine += width) {
    Bits largest = 0;  // as bits, which are ordered as the magnitudes are and put NaN on top
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T t = x[j] + bias[j];
      const Bits magnitude = __builtin_bit_cast(Bits, t) & C::kMagnitude;
      largest = magnitude > largest ? magnitude : largest;
    }
    if (largest >= __builtin_bit_cast(Bits, C::kLargest)) {
      for (std::int64_t j = 0; j < width; ++j) {
        library_sincos(x[j] + bias[j], sine[j], cosine[j]);
      }
      continue;
    }
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T t = x[j] + bias[j];
      const T rounded = t * static_cast<T>(0.63661977236758134308) + C::kRound;
      const Bits quadrant = __builtin_bit_cast(Bits, rounded);
      const T q = rounded - C::kRound;
      const T r = ((t - q * C::kPi2[0]) - q * C::kPi2[1]) - q * C::kPi2[2];
      const T s = C::sine(r, r * r);
      const T c = C::cosine(r * r);
      const bool swap = (quadrant & 1) != 0;
      const Bits sine_sign = (quadrant & 2) << C::kSignShift;
      const Bits cosine_sign = ((quadrant + 1) & 2) << C::kSignShift;
      sine[j] = __builtin_bit_cast(T, __builtin_bit_cast(Bits, swap ? c : s) ^ sine_sign);
      cosine[j] = __builtin_bit_cast(T, __builtin_bit_cast(Bits, swap ? s : c) ^ cosine_sign);
    }
  }
}

template <typename T>
void sum_sine(std::int64_t rows, std::int64_t width, const T* __restrict sin_p,
              const T* __restrict cos_p, const T* __restrict sin_q, const T* __restrict cos_q,
              T* __restrict sine) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = row * width;
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      sine[at + j] = sin_p[at + j] * cos_q[j] + cos_p[at + j] * sin_q[j];
    }
  }
}

/// Calls f(j, row) for all elements, four rows at a time, and adds the sum of the four to sums[j].
template <typename T, typename F>
inline void sum_columns(std::int64_t rows, std::int64_t width, T* __restrict sums, const F& f) {
  std::int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      sums[j] += (f(row, j) + f(row + 1, j)) + (f(row + 2, j) + f(row + 3, j));
    }
  }
  for (; row < rows; ++row) {
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) sums[j] += f(row, j);
  }
}

template <typename T>
void slope(std::int64_t rows, std::int64_t width, const T* __restrict cosine,
           T* __restrict gradient, T* __restrict sums) {
  sum_columns(rows, width, sums, [=](std::int64_t row, std::int64_t j) {
    const auto at = row * width + j;
    return gradient[at] *= cosine[at];
  });
}

template <typename T>
void last_slope(std::int64_t rows, std::int64_t width, std::int64_t channels,
                const T* __restrict residual, const T* __restrict weight,
                const T* __restrict cosine, T* __restrict gradient, T* __restrict sums) {
  if (channels == 1) {
    sum_columns(rows, width, sums, [=](std::int64_t row, std::int64_t j) {
      const auto at = row * width + j;
      return gradient[at] = residual[row] * weight[j] * cosine[at];
    });
    return;
  }
  if (channels == 3) {
    sum_columns(rows, width, sums, [=](std::int64_t row, std::int64_t j) {
      const auto at = row * width + j;
      const T* r = residual + 3 * row;
      const T sum = r[0] * weight[j] + r[1] * weight[width + j] + r[2] * weight[2 * width + j];
      return gradient[at] = sum * cosine[at];
    });
    return;
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    T* out = gradient + row * width;
    const T* c = cosine + row * width;
    for (std::int64_t j = 0; j < width; ++j) out[j] = 0;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      const T r = residual[row * channels + channel];
      const T* w = weight + channel * width;
      GONDOLA_VECTORISE
      for (std::int64_t j = 0; j < width; ++j) out[j] += r * w[j];
    }
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) sums[j] += out[j] *= c[j];
  }
}

template <typename T>
void first_slope(std::int64_t rows, std::int64_t width, const T* __restrict points,
                 const T* __restrict sin_p, const T* __restrict cos_p, const T* __restrict sin_q,
                 const T* __restrict cos_q, const T* __restrict gradient, T* __restrict sums) {
  T* __restrict plain = sums;
  T* __restrict first = sums + width;
  T* __restrict second = sums + 2 * width;
  const auto d = [=](std::int64_t row, std::int64_t j) {
    const auto at = row * width + j;
    return gradient[at] * (cos_p[at] * cos_q[j] - sin_p[at] * sin_q[j]);
  };
  std::int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const T* p = points + 2 * row;
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T a = d(row, j);
      const T b = d(row + 1, j);
      const T c = d(row + 2, j);
      const T e = d(row + 3, j);
      plain[j] += (a + b) + (c + e);
      first[j] += (a * p[0] + b * p[2]) + (c * p[4] + e * p[6]);
      second[j] += (a * p[1] + b * p[3]) + (c * p[5] + e * p[7]);
    }
  }
  for (; row < rows; ++row) {
    const T* p = points + 2 * row;
    GONDOLA_VECTORISE
    for (std::int64_t j = 0; j < width; ++j) {
      const T a = d(row, j);
      plain[j] += a;
      first[j] += a * p[0];
      second[j] += a * p[1];
    }
  }
}

template <typename T>
constexpr SineLoops<T> kLoops = {.sine = sine<T>,
                                 .sum_sine = sum_sine<T>,
                                 .slope = slope<T>,
                                 .last_slope = last_slope<T>,
                                 .first_slope = first_slope<T>};

}  // namespace

extern const SineLoops<float> kFloatLoops;
extern const SineLoops<double> kDoubleLoops;
const SineLoops<float> kFloatLoops = kLoops<float>;
const SineLoops<double> kDoubleLoops = kLoops<double>;

}  // namespace gondola::GONDOLA_LOOPS
