#pragma once

#include <math.h>  // sincos and sincosf, which nvcc has for the device

#include <cstdint>

#include "trainer/kernels/sine_kernels.hpp"

#ifdef __CUDACC__
#define GONDOLA_KERNEL __device__ __forceinline__
#else
#define GONDOLA_KERNEL inline
#endif

namespace gondola::sine_kernels {

// Each kernel is a function object called with a block of rows and one column, so that neighbouring
// threads read neighbouring numbers and none waits for another. A launcher calls it for all of
// them: sine_kernels.cu on the GPU, and the tests one after another on the CPU.

/// Rows that one thread goes through where it sums nothing: enough for its loads to overlap.
inline constexpr std::int64_t kRows = 8;

constexpr std::int64_t blocks_of(std::int64_t rows) { return (rows + kRows - 1) / kRows; }

GONDOLA_KERNEL void sine_and_cosine(float x, float* sine, float* cosine) {
  ::sincosf(x, sine, cosine);
}
GONDOLA_KERNEL void sine_and_cosine(double x, double* sine, double* cosine) {
  ::sincos(x, sine, cosine);
}

GONDOLA_KERNEL std::int64_t end_of(std::int64_t first, std::int64_t count, std::int64_t rows) {
  return first + count < rows ? first + count : rows;
}

/// store(row, load(row)) for all rows, of which some are loaded before the first is stored: a store
/// would hold back the loads behind it, which might read what it writes.
template <typename T, typename Load, typename Store>
GONDOLA_KERNEL void for_each_row(std::int64_t first, std::int64_t last, const Load& load,
                                 const Store& store) {
  constexpr int kAtOnce = 4;
  auto row = first;
  for (; row + kAtOnce <= last; row += kAtOnce) {
    T values[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) values[i] = load(row + i);
    for (int i = 0; i < kAtOnce; ++i) store(row + i, values[i]);
  }
  for (; row < last; ++row) store(row, load(row));
}

template <typename T>
struct Sine {
  std::int64_t rows, width;
  const T *bias, *x;
  T *sine, *cosine;

  GONDOLA_KERNEL void operator()(std::int64_t block, std::int64_t column) const {
    const T shift = bias[column];
    const auto first = block * kRows;
    for_each_row<T>(
        first, end_of(first, kRows, rows),
        [&](std::int64_t row) { return x[row * width + column] + shift; },
        [&](std::int64_t row, T angle) {
          const auto at = row * width + column;
          sine_and_cosine(angle, sine + at, cosine + at);
        });
  }
};

template <typename T>
struct SumSine {
  std::int64_t rows, blocks, width;  ///< Of one image.
  const T *sin_p, *cos_p, *sin_q, *cos_q;
  T* sine;

  GONDOLA_KERNEL void operator()(std::int64_t block, std::int64_t column) const {
    const auto image = block / blocks;
    const auto first = block % blocks * kRows;
    const T sin_of_q = sin_q[image * width + column];
    const T cos_of_q = cos_q[image * width + column];
    T* const of_image = sine + image * rows * width;
    for_each_row<T>(
        first, end_of(first, kRows, rows),
        [&](std::int64_t row) {
          const auto at = row * width + column;
          return sin_p[at] * cos_of_q + cos_p[at] * sin_of_q;
        },
        [&](std::int64_t row, T value) { of_image[row * width + column] = value; });
  }
};

/// gradient = value_of(row) in a column of a block of rows, and their sum into partial.
template <typename T, typename ValueOf>
GONDOLA_KERNEL void store_and_sum(std::int64_t block, std::int64_t column, std::int64_t rows,
                                  std::int64_t width, T* gradient, T* partial,
                                  const ValueOf& value_of) {
  const auto first = block * kSineSumRows;
  T sum = 0;
  for_each_row<T>(first, end_of(first, kSineSumRows, rows), value_of,
                  [&](std::int64_t row, T value) {
                    gradient[row * width + column] = value;
                    sum += value;
                  });
  partial[block * width + column] = sum;
}

template <typename T>
struct Slope {
  std::int64_t rows, width;
  const T* cosine;
  T *gradient, *partial;

  GONDOLA_KERNEL void operator()(std::int64_t block, std::int64_t column) const {
    store_and_sum(block, column, rows, width, gradient, partial, [&](std::int64_t row) {
      return gradient[row * width + column] * cosine[row * width + column];
    });
  }
};

template <typename T>
struct LastSlope {
  std::int64_t rows, width, channels;
  const T *residual, *weight, *cosine;
  T *gradient, *partial;

  GONDOLA_KERNEL void operator()(std::int64_t block, std::int64_t column) const {
    store_and_sum(block, column, rows, width, gradient, partial, [&](std::int64_t row) {
      T product = 0;
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        product += residual[row * channels + channel] * weight[channel * width + column];
      }
      return product * cosine[row * width + column];
    });
  }
};

template <typename T>
struct FirstSlope {
  std::int64_t rows, blocks, width;  ///< Of one image.
  const T *points, *sin_p, *cos_p, *sin_q, *cos_q, *gradient;
  T* partial;

  GONDOLA_KERNEL void operator()(std::int64_t block, std::int64_t column) const {
    const auto image = block / blocks;
    const auto first = block % blocks * kSineSumRows;
    const auto last = end_of(first, kSineSumRows, rows);
    const T sin_of_q = sin_q[image * width + column];
    const T cos_of_q = cos_q[image * width + column];
    T sum = 0, of_row = 0, of_column = 0;
    for (auto row = first; row < last; ++row) {
      const auto at = row * width + column;
      const T cosine = cos_p[at] * cos_of_q - sin_p[at] * sin_of_q;
      const T value = gradient[image * rows * width + at] * cosine;
      sum += value;
      of_row += value * points[2 * row];
      of_column += value * points[2 * row + 1];
    }
    T* const sums = partial + block * 3 * width + column;
    sums[0] = sum;
    sums[width] = of_row;
    sums[2 * width] = of_column;
  }
};

/// The functions of SineKernels; Launcher::run(stream, blocks, columns, kernel) calls a kernel.
template <typename T, typename Launcher>
struct Calls {
  static void sine(void* stream, std::int64_t rows, std::int64_t width, const T* bias, const T* x,
                   T* sine, T* cosine) {
    Launcher::run(stream, blocks_of(rows), width, Sine<T>{rows, width, bias, x, sine, cosine});
  }
  static void sum_sine(void* stream, std::int64_t images, std::int64_t rows, std::int64_t width,
                       const T* sin_p, const T* cos_p, const T* sin_q, const T* cos_q, T* sine) {
    const auto blocks = blocks_of(rows);
    Launcher::run(stream, images * blocks, width,
                  SumSine<T>{rows, blocks, width, sin_p, cos_p, sin_q, cos_q, sine});
  }
  static void slope(void* stream, std::int64_t rows, std::int64_t width, const T* cosine,
                    T* gradient, T* partial) {
    Launcher::run(stream, sine_sum_blocks(rows), width,
                  Slope<T>{rows, width, cosine, gradient, partial});
  }
  static void last_slope(void* stream, std::int64_t rows, std::int64_t width, std::int64_t channels,
                         const T* residual, const T* weight, const T* cosine, T* gradient,
                         T* partial) {
    Launcher::run(stream, sine_sum_blocks(rows), width,
                  LastSlope<T>{rows, width, channels, residual, weight, cosine, gradient, partial});
  }
  static void first_slope(void* stream, std::int64_t images, std::int64_t rows, std::int64_t width,
                          const T* points, const T* sin_p, const T* cos_p, const T* sin_q,
                          const T* cos_q, const T* gradient, T* partial) {
    const auto blocks = sine_sum_blocks(rows);
    Launcher::run(
        stream, images * blocks, width,
        FirstSlope<T>{rows, blocks, width, points, sin_p, cos_p, sin_q, cos_q, gradient, partial});
  }

  static constexpr SineKernels<T> kTable = {sine, sum_sine, slope, last_slope, first_slope};
};

}  // namespace gondola::sine_kernels

#undef GONDOLA_KERNEL
