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
  HostQueue beside;  ///< DeviceStream::another()
  std::atomic<int> made_current{0};
  std::atomic<bool> broken{false};  ///< Asking for a mark throws.
};

class HostStream final : public DeviceStream {
 public:
  /// `device` must outlive this object and its marks.
  explicit HostStream(HostDevice& device) : HostStream(device, device.queue) {}

  void make_current() const override { ++device_.made_current; }
  [[nodiscard]] void* current() const override { return &queue_; }
  [[nodiscard]] std::unique_ptr<StreamMark> mark() const override {
    return std::make_unique<Mark>(device_, queue_);
  }
  [[nodiscard]] std::unique_ptr<DeviceStream> another() const override {
    return std::unique_ptr<DeviceStream>(new HostStream(device_, device_.beside));
  }

 private:
  class Mark final : public StreamMark {
   public:
    Mark(HostDevice& device, HostQueue& queue) : device_(device) {
      queue.push([passed = passed_] {
        *passed = true;
        passed->notify_all();
      });
    }
    [[nodiscard]] bool passed() const override {
      TORCH_CHECK(!device_.broken, "the device fell off the bus");
      return *passed_;
    }
    void hold(void* stream) const override {
      static_cast<HostQueue*>(stream)->push([passed = passed_] { passed->wait(false); });
    }

   private:
    HostDevice& device_;
    std::shared_ptr<std::atomic<bool>> passed_ = std::make_shared<std::atomic<bool>>(false);
  };

  HostStream(HostDevice& device, HostQueue& queue) : device_(device), queue_(queue) {}

  HostDevice& device_;
  HostQueue& queue_;
};

}  // namespace gondola::fake_nccl
