#if GONDOLA_WITH_CUDA

#include "trainer/parallel/cuda_stream.hpp"

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

namespace gondola {
namespace {

class CudaMark final : public StreamMark {
 public:
  explicit CudaMark(const c10::cuda::CUDAStream& stream) { event_.record(stream); }
  [[nodiscard]] bool passed() const override { return event_.query(); }

 private:
  c10::cuda::CUDAEvent event_{cudaEventDisableTiming};
};

}  // namespace

void CudaStream::make_current() const { c10::cuda::set_device(device_.index()); }

void* CudaStream::current() const {
  return c10::cuda::getCurrentCUDAStream(device_.index()).stream();
}

std::unique_ptr<StreamMark> CudaStream::mark() const {
  return std::make_unique<CudaMark>(c10::cuda::getCurrentCUDAStream(device_.index()));
}

}  // namespace gondola

#endif
