#pragma once

#include <hdf5.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gondola::hdf5 {

using Bytes = std::span<const std::uint8_t>;

struct MemoryFileBlocks;

/// A new HDF5 file, made without touching a disk. When HDF5 itself meets a full disk, the failure
/// may be told to nobody (whichever object is closed last flushes the file) and the program crashes
/// at its end, when the same bytes are flushed again: so HDF5 makes the bytes and others write
/// them.
class MemoryFile {
 public:
  /// REQUIRES that `write` closes what it opens. Values that lie in a range of `lasting` are not
  /// copied: they must stay there, unchanged, as long as this object.
  /// @param name for messages. @throws IoError
  MemoryFile(const std::string& name, const std::function<void(hid_t file)>& write,
             std::vector<Bytes> lasting = {});
  ~MemoryFile();
  MemoryFile(MemoryFile&&) noexcept;
  MemoryFile& operator=(MemoryFile&&) noexcept;

  /// The bytes of the file from first to last, in pieces that live as long as this object.
  [[nodiscard]] std::vector<Bytes> pieces() const;

 private:
  std::unique_ptr<MemoryFileBlocks> blocks_;
};

}  // namespace gondola::hdf5
