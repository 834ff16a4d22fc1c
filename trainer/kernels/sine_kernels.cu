#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "trainer/kernels/sine_kernels_body.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kThreads = 256;

template <typename Kernel>
__global__ void __launch_bounds__(kThreads) run_kernel(std::int64_t columns, Kernel kernel) {
  const std::int64_t column = std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (column < columns) kernel(blockIdx.x, column);
}

/// One thread for each block of rows and column; the blocks in the grid's first dimension, which
/// alone may be longer than 65535.
struct Launcher {
  template <typename Kernel>
  static void run(void* stream, std::int64_t blocks, std::int64_t columns, const Kernel& kernel) {
    if (blocks == 0 || columns == 0) return;
    const auto threads = columns < kThreads ? (columns + 31) / 32 * 32 : kThreads;
    const dim3 grid(static_cast<unsigned>(blocks),
                    static_cast<unsigned>((columns + threads - 1) / threads));
    run_kernel<<<grid, static_cast<unsigned>(threads), 0, static_cast<cudaStream_t>(stream)>>>(
        columns, kernel);
    if (const auto error = cudaGetLastError(); error != cudaSuccess) {
      throw std::runtime_error(std::string("a kernel of ") + std::to_string(blocks) + " by " +
                               std::to_string(columns) +
                               " cannot be started: " + cudaGetErrorString(error));
    }
  }
};

}  // namespace

template <>
const SineKernels<float>& cuda_sine_kernels<float>() {
  return sine_kernels::Calls<float, Launcher>::kTable;
}

template <>
const SineKernels<double>& cuda_sine_kernels<double>() {
  return sine_kernels::Calls<double, Launcher>::kTable;
}

}  // namespace gondola
