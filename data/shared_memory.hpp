#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Memory that processes of one machine share. It has no name in any folder: the others open the
/// maker's descriptor through /proc, and the memory is gone with the last process that has it,
/// however that ends. Move-only.
class SharedMemory {
 public:
  SharedMemory() = default;
  /// Zeroed memory. @throws IoError
  [[nodiscard]] static SharedMemory create(std::int64_t bytes);
  /// The memory that another process, which is still there, made. @param place its place().
  /// @throws IoError
  [[nodiscard]] static SharedMemory open(const std::string& place, std::int64_t bytes);

  SharedMemory(SharedMemory&& other) noexcept { *this = std::move(other); }
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SharedMemory();

  /// Where other processes of the same user find it.
  [[nodiscard]] std::string place() const;
  [[nodiscard]] std::span<std::uint8_t> bytes() const {
    return {static_cast<std::uint8_t*>(address_), bytes_};
  }
  /// From now on a write through this mapping ends the process.
  void protect() noexcept;

 private:
  SharedMemory(FileDescriptor file, std::int64_t bytes);

  FileDescriptor file_;
  void* address_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace gondola
