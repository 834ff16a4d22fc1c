#include "trainer/kernels/sine_operations.hpp"

#include "trainer/kernels/sine_kernel_operations.hpp"
#include "trainer/kernels/sine_loop_operations.hpp"

#if GONDOLA_WITH_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

namespace gondola {

const SineOperations& sine_operations(torch::Device device) {
#if GONDOLA_WITH_CUDA
  if (device.is_cuda()) {
    static const SineKernelOperations kernels(
        cuda_sine_kernels<float>(), cuda_sine_kernels<double>(),
        [] { return static_cast<void*>(c10::cuda::getCurrentCUDAStream().stream()); });
    return kernels;
  }
#endif
  TORCH_CHECK(device.is_cpu(), "no sine operations for ", device);
  static const SineLoopOperations loops(sine_loops<float>(), sine_loops<double>());
  return loops;
}

}  // namespace gondola
