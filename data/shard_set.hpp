#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "data/dataset_file.hpp"
#include "data/file_descriptor.hpp"
#include "data/image_source.hpp"

namespace gondola {

/// Splits a comma-separated list of files and globs into file names; those of a glob are sorted.
/// @throws MissingInputError where a name or glob fits no file
[[nodiscard]] std::vector<std::string> expand_paths(const std::string& list);

/// One split of one or more dataset files with equal C, H, W; ids run through the files in order.
/// Files without the split are passed over.
///
/// Images are read by pread where a file holds them as one run of bytes, after the first, middle
/// and last have been held against what HDF5 reads; else through HDF5, one thread at a time, with a
/// warning, where the HDF5 library is thread-safe.
class ShardSet final : public ImageSource {
 public:
  /// Where a file's images lie. Image i of the file has the id first_id + i.
  struct Shard {
    std::string path;
    std::int64_t first_id = 0, images = 0;
    std::int64_t offset_bytes = 0;
    FileDescriptor file;                ///< Open where images are read by pread ...
    std::unique_ptr<DatasetFile> hdf5;  ///< ... and this where through HDF5.
  };

  /// @throws MissingInputError, IoError, DataError
  [[nodiscard]] static std::unique_ptr<ShardSet> open(const std::string& list, Split split);

  void read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const override;

  [[nodiscard]] std::span<const Shard> shards() const { return shards_; }
  /// Index of the shard that holds this id. REQUIRES 0 <= id < images().
  [[nodiscard]] std::size_t shard_of(std::int64_t id) const;
  /// Reads images [first, first+count) of one shard.
  void read_run(const Shard& shard, std::int64_t first, std::int64_t count,
                std::span<std::uint8_t> out) const;

 private:
  ShardSet(SourceInfo info, Split split, std::vector<Shard> shards);

  Split split_;
  std::vector<Shard> shards_;
  mutable std::mutex hdf5_mutex_;
};

}  // namespace gondola
