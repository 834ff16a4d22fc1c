#pragma once

#include <memory>

namespace gondola {

/// A place on a stream.
class StreamMark {
 public:
  StreamMark() = default;
  virtual ~StreamMark() = default;
  StreamMark(const StreamMark&) = delete;
  StreamMark& operator=(const StreamMark&) = delete;

  /// Whether the device is past it; does not wait. @throws c10::Error for a fault of the device.
  [[nodiscard]] virtual bool passed() const = 0;
  /// What is put on `stream` (a cudaStream_t of the same device) from now on runs behind it.
  virtual void hold(void* stream) const = 0;
};

/// What NcclCommunicator asks of its device. Any thread may call it.
class DeviceStream {
 public:
  DeviceStream() = default;
  virtual ~DeviceStream() = default;
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;

  /// Makes the device the calling thread's.
  virtual void make_current() const = 0;
  /// Where the calling thread's operations on the device go now: a cudaStream_t.
  [[nodiscard]] virtual void* current() const = 0;
  /// A mark behind all that lies there now.
  [[nodiscard]] virtual std::unique_ptr<StreamMark> mark() const = 0;
  /// A stream of the device that no operations of a thread go to by themselves, for work beside
  /// theirs.
  [[nodiscard]] virtual std::unique_ptr<DeviceStream> another() const = 0;
};

}  // namespace gondola
