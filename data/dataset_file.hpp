#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/foreign_images.hpp"
#include "data/hdf5_handle.hpp"
#include "data/image_source.hpp"

namespace gondola {

/// Attributes and their values of dataset files (data/FORMAT.md).
inline constexpr const char* kDatasetFormat = "gondola-dataset";
inline constexpr std::int64_t kDatasetFormatVersion = 1;

/// A file that an import read, by its name and SHA-256 (hexadecimal).
struct SourceFile {
  std::string name;
  std::string sha256;
};

/// What a dataset file says about itself.
struct DatasetHeader {
  bool native = false;  ///< Written in our format; else only images are known.
  std::string name;
  std::string recipe;                  ///< What was done to the images, in words.
  std::vector<double> channel_mean;    ///< [C], training split, in [0, 1].
  std::vector<double> channel_stddev;  ///< [C], likewise.
  std::vector<SourceFile> sources;
};

/// One split of a file. N images of C x H x W bytes.
struct SplitInfo {
  std::int64_t images = 0, channels = 0, height = 0, width = 0;
  bool has_labels = false;
  bool contiguous = false;         ///< The pixels are one run of bytes in the file ...
  std::int64_t offset_bytes = -1;  ///< ... that starts here.
  std::vector<double> mean_image;  ///< [C, H, W] in [0, 1]; empty in a foreign file.
  std::string images_checksum;     ///< XXH3 in hexadecimal; empty in a foreign file.
  std::string labels_checksum;
  std::string mean_image_checksum;

  [[nodiscard]] std::int64_t image_bytes() const { return channels * height * width; }
};

/// An open dataset file, held against the format and its own length before any image is read.
///
/// A foreign file, one without our `format` attribute, is accepted where ForeignImages can read
/// what find_foreign_images finds in it; its pixels are then those that `gondola import hdf5`
/// makes.
///
/// HDF5 itself crashes on some damaged files that were made for versions before 1.8; see
/// scan_foreign.
class DatasetFile {
 public:
  /// @throws MissingInputError, IoError, DataError (one sentence that names the path and the cure)
  explicit DatasetFile(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const DatasetHeader& header() const { return header_; }
  /// Null where the file has no such split.
  [[nodiscard]] const SplitInfo* split(Split split) const;

  /// Reads the pixels of images [first, first+count) through HDF5. Not thread-safe.
  /// REQUIRES the split and count*image_bytes() bytes of `out`. @throws DataError
  void read_images(Split split, std::int64_t first, std::int64_t count,
                   std::span<std::uint8_t> out) const;

  /// [N]; empty where there are none. REQUIRES the split. @throws DataError
  [[nodiscard]] std::vector<std::int64_t> read_labels(Split split) const;

 private:
  void read_header();
  void open_split(Split split);
  void open_foreign_splits();
  [[nodiscard]] std::string checksum_of(const std::string& dataset) const;

  struct OpenSplit {
    SplitInfo info;
    hdf5::Handle group;                      ///< Of a file of ours ...
    hdf5::Handle images;                     ///< ... and its images.
    std::unique_ptr<ForeignImages> foreign;  ///< Those of another program's file ...
    std::string foreign_path;                ///< ... and where they lie in it.
  };

  std::string path_;
  hdf5::Handle file_;
  DatasetHeader header_;
  std::optional<OpenSplit> splits_[2];
};

}  // namespace gondola
