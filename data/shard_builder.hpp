#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/checksum.hpp"
#include "data/dataset_file.hpp"
#include "data/foreign_scan.hpp"
#include "data/shard_set.hpp"

namespace gondola {

/// Opens the shards of a set, file by file, and gathers what they have in common. Files without the
/// split are passed over.
///
/// Sums of pixels and checksums are those that a file stores, or that scan_foreign finds. A file
/// whose pixels are one run of bytes is opened to be read past HDF5, after its first, middle and
/// last image have been held against what HDF5 reads; others through it.
class ShardBuilder {
 public:
  ShardBuilder(std::string list, Split split);

  /// @throws MissingInputError, IoError, DataError (damaged, unlike the shards before)
  void add(const std::string& path);

  /// What is known of the images of all shards, with at most one warning. Once, at the end.
  [[nodiscard]] SourceInfo finish_info();

  std::vector<ShardSet::Shard> shards;

 private:
  void check_same(const std::string& path, const SplitInfo& split);
  void add_images(const DatasetFile& dataset, const SplitInfo& split,
                  const std::optional<ForeignScan>& scan);
  void add_shard(const std::string& path, std::unique_ptr<DatasetFile> dataset,
                 const struct ::stat& status);
  void note_slow(const DatasetFile& dataset);

  Split split_;
  SourceInfo info_;
  bool labelled_ = false;
  std::string scanned_;       ///< The first file that had to be read in full ...
  std::string slow_;          ///< ... and the first that is read through HDF5,
  std::string slow_warning_;  ///< which the set's one warning is about.
  std::vector<std::uint64_t> sums_;
  Xxh3 fingerprint_;
};

}  // namespace gondola
