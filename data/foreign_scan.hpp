#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/image_source.hpp"

namespace gondola {

/// What another program's file does not say of the pixels of a split.
struct ForeignScan {
  std::vector<std::uint64_t> sums;  ///< Of each pixel over the images, exact: [C, H, W].
  std::string checksum;             ///< XXH3 of the pixels in order, in hexadecimal.
};

/// Reads a split in full, once, and finds these; nothing where the file has no such split.
///
/// In another process (fork): HDF5 trusts much of what it reads and crashes on some damaged files,
/// above all on those whose metadata has no checksums. What has been read whole there can be read
/// here. REQUIRES that no other thread uses HDF5 during this call. @throws as DatasetFile, and
/// DataError where a value is out of range or HDF5 crashes
[[nodiscard]] std::optional<ForeignScan> scan_foreign(const std::string& path, Split split);

/// What is about to be read of a file.
enum class Reading {
  kSizes,   ///< What opening it tells.
  kImages,  ///< All.
};

/// Has another process do that first where the metadata of the file has no checksums, so that a
/// crash of HDF5 becomes an error. REQUIRES and @throws as scan_foreign
void rehearse_reading(const std::string& path, Reading reading);

/// Bytes that opening a dataset reads: all of files of other programs, as good as none of others.
/// The first file of the list stands for the others. What cannot be opened counts nothing: opening
/// it tells why.
[[nodiscard]] std::int64_t bytes_read_when_opened(const std::string& list);

/// Whether HDF5 finds damage in the metadata of a file by checksums, as in those of `gondola
/// import`: superblock version 2 or later, at the beginning of the file. Else nothing of it should
/// be opened before scan_foreign has been through it.
[[nodiscard]] bool metadata_has_checksums(const std::string& path);

}  // namespace gondola
