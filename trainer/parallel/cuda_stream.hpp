#pragma once

#include <torch/types.h>

#include "trainer/parallel/device_stream.hpp"

namespace gondola {

/// Torch's current stream of a GPU. Present in builds with CUDA only.
class CudaStream final : public DeviceStream {
 public:
  explicit CudaStream(const torch::Device& device) : device_(device) {}

  void make_current() const override;
  [[nodiscard]] void* current() const override;
  [[nodiscard]] std::unique_ptr<StreamMark> mark() const override;

 private:
  torch::Device device_;
};

}  // namespace gondola
