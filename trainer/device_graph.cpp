#include "trainer/device_graph.hpp"

#if GONDOLA_WITH_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace gondola {

#if GONDOLA_WITH_CUDA
namespace {

class CudaGraph final : public DeviceGraph {
 public:
  explicit CudaGraph(torch::Device device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  void rehearse(const std::function<void()>& work) override { beside(work); }

  void record(const std::function<void()>& work) override {
    // While it is recorded the allocator cannot give back what rehearsals left in its cache, and
    // takes memory of the recording's own.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    beside([&] {
      // Of this thread alone: others may ask for events and memory while it is recorded.
      graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      try {
        work();
      } catch (...) {
        try {
          graph_.capture_end();
        } catch (...) {  // what made the work fail is what people should hear of
        }
        throw;
      }
      graph_.capture_end();
    });
  }

  void replay() override { graph_.replay(); }

 private:
  /// On stream_, behind the current stream, which goes on behind it: nothing can be recorded on the
  /// default stream.
  void beside(const std::function<void()>& work) const {
    const auto current = c10::cuda::getCurrentCUDAStream(stream_.device_index());
    c10::cuda::CUDAEvent before;
    before.record(current);
    before.block(stream_);
    {
      const c10::cuda::CUDAStreamGuard guard(stream_);
      work();
    }
    c10::cuda::CUDAEvent after;
    after.record(stream_);
    after.block(current);
  }

  c10::cuda::CUDAStream stream_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

MakeDeviceGraph device_graphs(torch::Device device) {
  if (!device.is_cuda()) return {};
  return [device] { return std::make_unique<CudaGraph>(device); };
}
#else
MakeDeviceGraph device_graphs(torch::Device) { return {}; }
#endif

}  // namespace gondola
