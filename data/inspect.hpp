#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "data/dataset_file.hpp"
#include "data/pixel_statistics.hpp"

namespace gondola {

/// The checksum of one dataset of a file: as stored, and as computed where that was asked for.
struct ChecksumSummary {
  std::string dataset;  ///< Such as /train/images.
  std::string stored;
  std::string computed;  ///< Empty where it was not asked for.
};

/// What `gondola inspect` tells of a dataset file.
struct DatasetSummary {
  struct SplitSummary {
    Split split = Split::kTrain;
    SplitInfo info;
  };

  std::string path;
  std::int64_t file_bytes = 0;
  DatasetHeader header;
  std::vector<SplitSummary> splits;
  std::vector<ChecksumSummary> checksums;
};

// What reads a file below has it read by another process first where HDF5 may crash on it: see
// foreign_scan.hpp, whose requirements hold here too.

enum class Checksums {
  kAsStored,
  kVerify,  ///< Also compute them, which reads the whole file.
};

/// @throws as DatasetFile does, ConfigError where checksums are to be verified of a file that
/// stores none
[[nodiscard]] DatasetSummary inspect_dataset(const std::string& path, Checksums checksums);

/// count_pixels() of a file by its path. @throws as DatasetFile does
[[nodiscard]] PixelStatistics inspect_pixels(const std::string& path);

/// Prints a summary for people.
void print_summary(const DatasetSummary& summary, std::ostream& out);

/// Holds the computed checksums against the stored ones.
/// @throws DataError that names the first dataset that differs
void require_intact(const DatasetSummary& summary);

/// Contact sheets replace no file: what a command asks before it does anything else.
/// @throws ConfigError where `picture` exists
void require_new_sheet(const std::filesystem::path& picture);

/// Writes the first 64 images of the training split (of the test split where there is no other),
/// fewer where they are larger than a mebibyte, as one picture. @throws as DatasetFile does,
/// IoError
void write_contact_sheet(const std::string& dataset_path, const std::filesystem::path& picture);

}  // namespace gondola
