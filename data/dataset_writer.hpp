#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/atomic_file.hpp"
#include "data/checksum.hpp"
#include "data/dataset_file.hpp"
#include "data/file_descriptor.hpp"

namespace gondola {

/// What a dataset file will hold; 0 images: no such split.
struct DatasetPlan {
  std::string name = {};
  std::string recipe = {};  ///< What was done to the images, in words.
  std::int64_t channels = 0, height = 0, width = 0;
  std::int64_t train_images = 0, test_images = 0;
  bool train_labels = false, test_labels = false;
};

/// Writes a dataset file in format version 1 (data/FORMAT.md), images in any order, with its
/// checksums, mean images and statistics. Its folder is made where there is none. The file appears
/// when commit() returns, never before; without commit() no part of it stays behind.
///
/// HDF5 lays the file out and writes the small parts; the images are written past it, so a full
/// disk is met where it can be answered, and the space is asked for beforehand.
class DatasetWriter {
 public:
  /// @throws ConfigError (the file exists), DataError (a plan without images), IoError
  DatasetWriter(const std::string& path, DatasetPlan plan);

  /// Writes images [n, C, H, W] to places first..first+n-1 of a split. Each place is written once.
  /// Any number of threads at once. @throws DataError (places beyond the plan), IoError
  void write(Split split, std::int64_t first, std::span<const std::uint8_t> images);

  /// Finishes the file: completes the checksums, and writes the small parts. The labels are those
  /// of the splits for which the plan has them, [N] each.
  /// @throws DataError (fewer images than planned, labels that do not fit), ConfigError (a file of
  /// this name has appeared), IoError
  void commit(std::span<const SourceFile> sources, std::vector<std::int64_t> train_labels,
              std::vector<std::int64_t> test_labels);

 private:
  struct SplitState {
    std::int64_t planned = 0, offset_bytes = 0;
    std::atomic<std::int64_t> written = 0;
    bool labelled = false;
    std::vector<std::int64_t> labels;
    std::mutex checksum_mutex;  ///< Of the next three.
    Xxh3 checksum;
    std::int64_t checksummed = 0;                ///< Images in the checksum: the first so many.
    std::map<std::int64_t, std::int64_t> ahead;  ///< Written beyond them: first image, images.
    std::vector<std::uint64_t> sums;             ///< [C*H*W], of bytes: exact.
    std::vector<std::uint64_t> channel_squares;  ///< [C], of squared bytes: exact.
  };

  void lay_out();
  void lay_out_split(hid_t file, Split split);
  void reserve_space();
  /// Starts writing to disk what lies before the byte `end`, where that is much; does not wait.
  void flush_behind(std::int64_t end);
  void accept_labels(Split split, std::vector<std::int64_t> labels);
  /// Thread-safe.
  void sum_up(SplitState& parts, std::span<const std::uint8_t> images);
  /// Takes images that were written into the checksum as soon as all before them are in it; those
  /// that come too early are read back then. Thread-safe.
  void extend_checksum(SplitState& parts, std::int64_t first, std::span<const std::uint8_t> images);
  /// Up to image `end`, from what was written.
  void read_checksum(SplitState& parts, std::int64_t end);
  void write_small_parts(std::span<const SourceFile> sources);
  void write_split_parts(hid_t file, Split split, std::vector<std::string>& names,
                         std::vector<std::string>& sums);
  [[nodiscard]] SplitState& state(Split split) { return splits_[static_cast<int>(split)]; }
  [[nodiscard]] std::int64_t image_bytes() const {
    return plan_.channels * plan_.height * plan_.width;
  }

  std::string path_;
  DatasetPlan plan_;
  AtomicFile target_;
  FileDescriptor descriptor_;
  SplitState splits_[2];
  std::mutex sums_mutex_;                      ///< Of sums and channel_squares.
  std::atomic<std::int64_t> flush_begun_ = 0;  ///< What lies before is on its way to disk.
};

}  // namespace gondola
