#if GONDOLA_WITH_CUDA

#include "trainer/parallel/cuda_stream.hpp"

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

namespace gondola {
namespace {

class CudaMark final : public StreamMark {
 public:
  explicit CudaMark(const c10::cuda::CUDAStream& stream) { event_.record(stream); }
  [[nodiscard]] bool passed() const override { return event_.query(); }
  void hold(void* stream) const override {
    C10_CUDA_CHECK(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), event_.event(), 0));
  }

 private:
  c10::cuda::CUDAEvent event_{cudaEventDisableTiming};
};

}  // namespace

c10::cuda::CUDAStream CudaStream::stream() const {
  return fixed_ ? *fixed_ : c10::cuda::getCurrentCUDAStream(device_.index());
}

void CudaStream::make_current() const { c10::cuda::set_device(device_.index()); }

void* CudaStream::current() const { return stream().stream(); }

std::unique_ptr<StreamMark> CudaStream::mark() const {
  return std::make_unique<CudaMark>(stream());
}

std::unique_ptr<DeviceStream> CudaStream::another() const {
  auto made = std::make_unique<CudaStream>(device_);
  made->fixed_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_.index());
  return made;
}

}  // namespace gondola

#endif
