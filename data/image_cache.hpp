#pragma once

#include <memory>
#include <span>

#include "data/image_source.hpp"
#include "data/shared_memory.hpp"

namespace gondola {

/// A split whose images lie in memory, one copy for all processes of a machine, wherever they came
/// from. Its makers share the reading: each gives the memory and its own source, all fill() parts
/// that together make up the images, and only when all have done so each calls finish() and reads.
class ImageCache final : public ImageSource {
 public:
  /// Bytes of memory that the images of this source take.
  [[nodiscard]] static std::int64_t bytes_of(const ImageSource& source);

  /// REQUIRES memory of bytes_of(*source) bytes.
  ImageCache(std::unique_ptr<ImageSource> source, SharedMemory memory);

  /// Reads images [first, first+count) into the memory. @throws DataError, IoError
  void fill(std::int64_t first, std::int64_t count) const;

  /// Closes the source, whose files the page cache need not keep any longer.
  void finish();

  void read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const override;
  void read_values(std::span<const std::int64_t> ids, std::span<float> out) const override;
  void pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
            std::span<std::uint8_t> out) const override;

 private:
  std::unique_ptr<ImageSource> source_;  ///< Null once finished.
  SharedMemory memory_;
};

}  // namespace gondola
