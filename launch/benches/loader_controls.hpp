#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "data/shard_set.hpp"

namespace gondola {

/// What `gondola bench loader` compares with: the images of a dataset's training split by plain
/// reads of its files, cast to float32, with no order to compute and no batch to hand over. Each
/// thread fills one batch's memory over and over.
class RawImages {
 public:
  /// @throws DataError where a file keeps its images otherwise than as one run of bytes
  explicit RawImages(const std::string& list);

  /// Seconds to read the images of `ids` in batches of `batch` on so many threads, by pread.
  [[nodiscard]] double pread_seconds(std::span<const std::int64_t> ids, std::int64_t batch,
                                     std::int64_t threads) const;

  /// The same from a mapping of the files.
  [[nodiscard]] double mapping_seconds(std::span<const std::int64_t> ids, std::int64_t batch,
                                       std::int64_t threads) const;

 private:
  [[nodiscard]] std::size_t values() const { return static_cast<std::size_t>(set_->image_bytes()); }

  std::unique_ptr<ShardSet> set_;
};

/// Drops the files of a dataset from the page cache. REQUIRES that this process maps none of it.
/// @return the largest part of any that stayed there all the same
double evict(const std::string& list);

/// Seconds to read the images of a dataset from its files in their order, in large pieces.
/// @throws IoError
[[nodiscard]] double sequential_seconds(const std::string& list);

}  // namespace gondola
