#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "configs/run_config.hpp"

namespace gondola {

enum class Split { kTrain, kTest };

/// "train" or "test": the group of the split in a dataset file.
[[nodiscard]] const char* split_name(Split split);

/// Sizes beyond these are refused before memory is taken: they are a slip or a trap.
inline constexpr std::int64_t kMostImageBytes = std::int64_t{1} << 28;  ///< 16384 x 16384 in grey.
inline constexpr std::int64_t kMostImages = std::int64_t{1} << 28;      ///< In a split of one file.

/// What is known of the images of one split. N images of C x H x W bytes.
struct SourceInfo {
  std::string name;  ///< What to call it in messages: path and split.
  std::int64_t images = 0, channels = 0, height = 0, width = 0;
  std::vector<std::int64_t> labels;   ///< [N], or empty where there are none.
  std::vector<double> mean_image;     ///< [C, H, W], bytes divided by 255: in [0, 1].
  std::uint64_t fingerprint = 0;      ///< Of shape, pixels and labels: equal for equal images.
  std::vector<std::string> warnings;  ///< Sentences for the log: slow layouts and the like.
};

/// Where reading goes, the slowest last.
enum class ImageStorage {
  kMade,        ///< Nowhere: images are computed, or in memory.
  kLocalBytes,  ///< Plain bytes on a disk of this machine, which its page cache keeps.
  kPacked,      ///< Through HDF5.
  kRemote,      ///< Over a network.
};

/// The images of one split, by id: 0..N-1. Made by open_source; read() may be called from any
/// number of threads at once.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  ImageSource(const ImageSource&) = delete;
  ImageSource& operator=(const ImageSource&) = delete;

  /// Copies the images of `ids` into `out` [ids.size(), C, H, W], in that order. Thread-safe.
  /// @throws DataError (an id outside 0..N-1, a file that has become shorter), IoError
  virtual void read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const = 0;

  /// The same images as values, bytes divided by 255: `out` [ids.size(), C, H, W]. Thread-safe.
  /// @throws as read()
  virtual void read_values(std::span<const std::int64_t> ids, std::span<float> out) const;

  /// Of each of the images only the row-major `pixels`, in that order and in all channels: `out`
  /// [ids.size(), C, pixels.size()]. Thread-safe. @throws as read(), and DataError for a pixel
  /// outside 0..H*W-1
  virtual void pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
                    std::span<std::uint8_t> out) const;

  /// Images first..first+images-1 will be read soon: waits until storage has fetched them, where
  /// that is of use. What cannot be read is told by read(). Thread-safe.
  virtual void fetch(std::int64_t first, std::int64_t images) const;

  [[nodiscard]] virtual ImageStorage storage() const { return ImageStorage::kMade; }

  /// No image will be read again: what the page cache holds of them may go.
  virtual void forget() const;

  [[nodiscard]] const std::string& name() const { return info_.name; }
  [[nodiscard]] std::int64_t images() const { return info_.images; }
  [[nodiscard]] std::int64_t channels() const { return info_.channels; }
  [[nodiscard]] std::int64_t height() const { return info_.height; }
  [[nodiscard]] std::int64_t width() const { return info_.width; }
  /// Bytes (and values) of one image, C*H*W.
  [[nodiscard]] std::int64_t image_bytes() const {
    return info_.channels * info_.height * info_.width;
  }
  [[nodiscard]] bool has_labels() const { return !info_.labels.empty(); }
  /// REQUIRES has_labels(). @throws DataError for an id outside 0..N-1
  [[nodiscard]] std::int64_t label(std::int64_t id) const;
  /// [C, H, W] in [0, 1]: the mean over the split.
  [[nodiscard]] std::span<const double> mean_image() const { return info_.mean_image; }
  /// Ranks that see the same images have the same number here.
  [[nodiscard]] std::uint64_t fingerprint() const { return info_.fingerprint; }
  /// Sentences that one rank should log.
  [[nodiscard]] std::span<const std::string> warnings() const { return info_.warnings; }

  /// All of the above.
  [[nodiscard]] const SourceInfo& info() const { return info_; }

 protected:
  explicit ImageSource(SourceInfo info) : info_(std::move(info)) {}

  /// Holds the arguments of read() against the source. @throws DataError
  void check_read(std::span<const std::int64_t> ids, std::size_t out_values) const;
  /// Those of pick(). @throws DataError
  void check_pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
                  std::size_t out_values) const;
  /// The pixels of one image [C, H, W] -> out [C, pixels.size()].
  void pick_of_image(const std::uint8_t* image, std::span<const std::int64_t> pixels,
                     std::uint8_t* out) const;

 private:
  void check_buffer(std::span<const std::int64_t> ids, std::size_t wanted, std::size_t given) const;
  SourceInfo info_;
};

/// Whether any shard of a dataset (as open_source takes it) has this split. @throws as open_source
[[nodiscard]] bool has_split(const std::string& path, Split split);

/// Opens one split of a dataset: a file, a glob or a comma-separated list of shard files, or
/// `synthetic:<N>x<C>x<H>x<W>`. With CacheKind::kHost all images are read into memory at once, a
/// copy of this process (launch/node_cache.hpp makes one a machine); kDevice is the trainer's
/// business and reads like kNone here.
/// @throws MissingInputError (no such file), DataError (damaged, no such split, shards that
/// differ),
///         ConfigError (a synthetic description that is none), IoError
[[nodiscard]] std::unique_ptr<ImageSource> open_source(const std::string& path, Split split,
                                                       CacheKind cache);

}  // namespace gondola
