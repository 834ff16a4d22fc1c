#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Bytes [offset, offset+length) of a file seen as memory, read only; one copy for all processes,
/// the page cache's. Reading pages of a file that was cut is a bus error (data/bus_error.hpp).
/// Move-only.
class MappedFile {
 public:
  MappedFile();
  /// Empty where the system refuses.
  MappedFile(const FileDescriptor& file, std::int64_t offset, std::int64_t length) noexcept;
  MappedFile(MappedFile&& other) noexcept : MappedFile() { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(first_byte_, other.first_byte_);
    std::swap(may_ask_, other.may_ask_);
    std::swap(fetches_, other.fetches_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  [[nodiscard]] explicit operator bool() const { return address_ != nullptr; }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  /// The part that the page cache holds, from pages looked at here and there: 0 to 1. (Of files of
  /// other users, which one may not write to, the system says 1.)
  [[nodiscard]] double resident_part() const;

  /// Whether the page cache holds all of bytes [begin, begin+bytes) of the file; false of files of
  /// other users, of which the system does not tell. It is quickest for what was read through here.
  /// REQUIRES bytes >= 1. (Reads that may not wait, RWF_NOWAIT, are no way to ask: they begin to
  /// fetch single small pages, where no large one has room any more.)
  [[nodiscard]] bool holds(std::int64_t begin, std::int64_t bytes) const;

  /// Has the page cache hold them, in large pages where the file system can, and waits until it
  /// does: the fastest way to read a file; advice to the system (WILLNEED) takes twice as long.
  /// False where it cannot. REQUIRES bytes >= 1. Thread-safe.
  [[nodiscard]] bool fetch(std::int64_t begin, std::int64_t bytes) const;

 private:
  /// The pages of these bytes of the file, as far as they are mapped.
  struct Fetches;
  class LargePages;

  [[nodiscard]] std::span<std::byte> pages_of(std::int64_t begin, std::int64_t bytes) const;

  void* address_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::int64_t first_byte_ = 0;  ///< Of the file, that is mapped.
  bool may_ask_ = false;         ///< Whether the system tells which pages it holds.
  std::unique_ptr<Fetches> fetches_;
  std::span<const std::uint8_t> bytes_;
};

}  // namespace gondola
