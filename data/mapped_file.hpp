#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Bytes [offset, offset+length) of a file seen as memory, read only; one copy for all processes,
/// the page cache's. Reading pages of a file that was cut is a bus error (data/bus_error.hpp).
/// Move-only.
class MappedFile {
 public:
  MappedFile() = default;
  /// Empty where the system refuses.
  MappedFile(const FileDescriptor& file, std::int64_t offset, std::int64_t length) noexcept;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  [[nodiscard]] explicit operator bool() const { return address_ != nullptr; }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  /// The part that the page cache holds, from pages looked at here and there: 0 to 1. (Of files of
  /// other users, which one may not write to, the system says 1.)
  [[nodiscard]] double resident_part() const;

 private:
  void* address_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::span<const std::uint8_t> bytes_;
};

}  // namespace gondola
