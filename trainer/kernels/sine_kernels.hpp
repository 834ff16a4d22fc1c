#pragma once

#include <cstdint>

namespace gondola {

/// The elementwise kernels of a sine network on a GPU, in the order of SineOperations. Each is put
/// on a stream (a cudaStream_t), which the caller's device has. Blocks are row-major and lie on the
/// device. Sums over rows come as `partial` sums, one row of them for each block of at most
/// kSineSumRows rows, which the caller adds up: in an order that does not depend on the GPU.
///
/// Throws std::runtime_error with CUDA's words where a kernel cannot be started.
template <typename T>
struct SineKernels {
  /// sine = sin(x + bias) and cosine = cos(x + bias) within 2 units in the last place. bias [width]
  void (*sine)(void* stream, std::int64_t rows, std::int64_t width, const T* bias, const T* x,
               T* sine, T* cosine);

  /// sine = sin(p_row + q_image). sin_p, cos_p [rows, width]; sin_q, cos_q [images, width]
  void (*sum_sine)(void* stream, std::int64_t images, std::int64_t rows, std::int64_t width,
                   const T* sin_p, const T* cos_p, const T* sin_q, const T* cos_q, T* sine);

  /// gradient *= cosine. partial [sine_sum_blocks(rows), width]
  void (*slope)(void* stream, std::int64_t rows, std::int64_t width, const T* cosine, T* gradient,
                T* partial);

  /// gradient = (residual weight) cosine. residual [rows, channels], weight [channels, width]
  void (*last_slope)(void* stream, std::int64_t rows, std::int64_t width, std::int64_t channels,
                     const T* residual, const T* weight, const T* cosine, T* gradient, T* partial);

  /// d = gradient cos(p_row + q_image). partial [images, sine_sum_blocks(rows), 3, width]: of d, of
  /// d points[:, 0] and of d points[:, 1]. points [rows, 2]
  void (*first_slope)(void* stream, std::int64_t images, std::int64_t rows, std::int64_t width,
                      const T* points, const T* sin_p, const T* cos_p, const T* sin_q,
                      const T* cos_q, const T* gradient, T* partial);
};

inline constexpr std::int64_t kSineSumRows = 32;

[[nodiscard]] constexpr std::int64_t sine_sum_blocks(std::int64_t rows) {
  return (rows + kSineSumRows - 1) / kSineSumRows;
}

/// For CUDA; float and double. Only where this program is built with CUDA.
template <typename T>
[[nodiscard]] const SineKernels<T>& cuda_sine_kernels();

}  // namespace gondola
