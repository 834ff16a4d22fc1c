#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>

namespace gondola {

/// Work on a device's stream that is recorded once and then put there as a whole, which costs the
/// host one call in place of one for each kernel.
///
/// Work that is recorded may not wait for the device and may not read or write memory of the host.
/// The tensors that it reads have to stay where they are, and those that it makes stay where they
/// are: each replay writes them again.
class DeviceGraph {
 public:
  DeviceGraph() = default;
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;
  virtual ~DeviceGraph() = default;

  /// Runs work as it will be recorded, without recording it: libraries allocate, and choose their
  /// algorithms, in the first calls.
  virtual void rehearse(const std::function<void()>& work) = 0;
  /// Records work, which is not run. Once.
  virtual void record(const std::function<void()>& work) = 0;
  /// Puts what was recorded on the current stream.
  virtual void replay() = 0;
};

using MakeDeviceGraph = std::function<std::unique_ptr<DeviceGraph>()>;

/// CUDA graphs on this device; empty where it has no graphs, as a CPU.
[[nodiscard]] MakeDeviceGraph device_graphs(torch::Device device);

}  // namespace gondola
