#pragma once

#include <c10/util/Exception.h>

#include <atomic>
#include <memory>
#include <utility>

#include "tests/parallel/fake_nccl/host_queue.hpp"
#include "trainer/parallel/device_stream.hpp"

namespace gondola::fake_nccl {

/// A device whose stream is a queue on the host, as the communicator under test sees it.
struct HostDevice {
  HostQueue queue;
  std::atomic<int> made_current{0};
  std::atomic<bool> broken{false};  ///< Asking for a mark throws.
};

class HostStream final : public DeviceStream {
 public:
  /// `device` must outlive this object and its marks.
  explicit HostStream(HostDevice& device) : device_(device) {}

  void make_current() const override { ++device_.made_current; }
  [[nodiscard]] void* current() const override { return &device_.queue; }
  [[nodiscard]] std::unique_ptr<StreamMark> mark() const override {
    return std::make_unique<Mark>(device_);
  }

 private:
  class Mark final : public StreamMark {
   public:
    explicit Mark(HostDevice& device) : device_(device) {
      device.queue.push([passed = passed_] { *passed = true; });
    }
    [[nodiscard]] bool passed() const override {
      TORCH_CHECK(!device_.broken, "the device fell off the bus");
      return *passed_;
    }

   private:
    HostDevice& device_;
    std::shared_ptr<std::atomic<bool>> passed_ = std::make_shared<std::atomic<bool>>(false);
  };

  HostDevice& device_;
};

}  // namespace gondola::fake_nccl
