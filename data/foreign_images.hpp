#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/hdf5_handle.hpp"

namespace gondola {

/// How a dataset of numbers that another program wrote is N images of C x H x W.
struct ForeignLayout {
  /// How its values are read into memory.
  enum class Kind { kBytes, kFloats, kDoubles };

  Kind kind = Kind::kBytes;
  bool channels_last = false;  ///< [N, H, W, C]; else [N, C, H, W], or [N, H, W] of one channel.
  bool up_to_one = false;      ///< Fractions in [0, 1]; else values in 0..255.
  std::int64_t images = 0, channels = 1, height = 0, width = 0;
  std::int64_t images_at_once = 1;  ///< To be read: whole chunks, so that each is unpacked once.

  [[nodiscard]] std::int64_t image_values() const { return channels * height * width; }
  /// Bytes of one image as it is stored.
  [[nodiscard]] std::int64_t stored_bytes() const;
};

/// One image as it is stored, [stored_bytes()], to pixels 0..255 [C, H, W]: values are multiplied
/// by 255 where they are fractions in [0, 1], and rounded half up.
/// @param name of the image, for messages. @throws DataError where a value is out of range
void foreign_to_bytes(const ForeignLayout& layout, std::span<const std::uint8_t> stored,
                      const std::string& name, std::span<std::uint8_t> pixels);

/// A dataset of numbers of 3 or 4 dimensions in another program's HDF5 file, as images. With four,
/// the channels are the last where there are 1 or 3 of them and not 1 or 3 of the second.
/// Not thread-safe.
class ForeignImages {
 public:
  /// @throws DataError where it is missing, damaged, or cannot be images
  ForeignImages(hid_t file, const std::string& path);

  /// All but `up_to_one`, which takes reading to be known.
  [[nodiscard]] const ForeignLayout& sizes() const { return layout_; }
  /// The first call reads up to a GiB of fractions, to see whether any is above 1. @throws
  /// DataError
  [[nodiscard]] const ForeignLayout& layout();

  /// For messages: dataset and file.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string image_name(std::int64_t image) const;
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return shape_; }
  /// Where the file holds the pixels of image after image as they are used, in one run of bytes:
  /// where that begins; else -1.
  [[nodiscard]] std::int64_t plain_offset_bytes() const { return plain_offset_bytes_; }

  /// Images [first, first+count) as they are stored. @throws DataError
  void read_stored(std::int64_t first, std::int64_t count, std::vector<std::uint8_t>& out) const;

  /// The same images as pixels, `out` [count, C, H, W]. @throws DataError
  void read_pixels(std::int64_t first, std::int64_t count, std::span<std::uint8_t> out);

 private:
  [[noreturn]] void refuse(const std::string& problem) const;
  void read_shape();
  void choose_block();
  [[nodiscard]] bool is_up_to_one() const;

  std::string name_;
  hdf5::Handle dataset_;
  std::vector<std::int64_t> shape_;
  ForeignLayout layout_;
  bool knows_scale_ = true;
  std::int64_t plain_offset_bytes_ = -1;
};

/// "7x5x4x3".
[[nodiscard]] std::string foreign_shape_text(const std::vector<std::int64_t>& shape);

}  // namespace gondola
