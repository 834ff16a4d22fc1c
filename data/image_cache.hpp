#pragma once

#include <memory>
#include <span>
#include <vector>

#include "data/shard_set.hpp"

namespace gondola {

/// A shard set whose images are mapped and read in at once. The mapping is shared, so all ranks of
/// a node use one copy, the page cache's. Shards that only HDF5 can read stay uncached, with a
/// warning. A file must not be cut while it is mapped.
class ImageCache final : public ImageSource {
 public:
  /// @throws IoError where the images cannot be mapped
  explicit ImageCache(std::unique_ptr<ShardSet> shards);
  ~ImageCache() override;

  void read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const override;

 private:
  struct Mapping {
    void* address = nullptr;
    std::size_t length = 0;
    const std::uint8_t* images = nullptr;  ///< Null where the shard is not mapped.
  };

  void unmap() noexcept;

  std::unique_ptr<ShardSet> shards_;
  std::vector<Mapping> mappings_;  ///< One a shard.
};

}  // namespace gondola
