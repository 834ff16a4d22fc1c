#pragma once

#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>

#include <optional>

#include "trainer/parallel/device_stream.hpp"

namespace gondola {

/// Torch's current stream of a GPU, or another(). Present in builds with CUDA only.
class CudaStream final : public DeviceStream {
 public:
  explicit CudaStream(const torch::Device& device) : device_(device) {}

  void make_current() const override;
  [[nodiscard]] void* current() const override;
  [[nodiscard]] std::unique_ptr<StreamMark> mark() const override;
  /// Of high priority: what runs on it need not wait for the many kernels of a pass.
  [[nodiscard]] std::unique_ptr<DeviceStream> another() const override;

 private:
  [[nodiscard]] c10::cuda::CUDAStream stream() const;

  torch::Device device_;
  std::optional<c10::cuda::CUDAStream> fixed_;  ///< Or the thread's current one.
};

}  // namespace gondola
