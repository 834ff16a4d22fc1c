#include "data/image_source.hpp"

#include <algorithm>

#include "configs/errors.hpp"
#include "data/dataset_file.hpp"
#include "data/image_cache.hpp"
#include "data/shard_set.hpp"
#include "data/synthetic_source.hpp"

namespace gondola {

std::int64_t ImageSource::label(std::int64_t id) const {
  if (id < 0 || id >= static_cast<std::int64_t>(info_.labels.size())) {
    throw DataError(info_.name + " has no label of image " + std::to_string(id) + "; it has " +
                    std::to_string(info_.labels.size()) + " labels");
  }
  return info_.labels[static_cast<std::size_t>(id)];
}

void ImageSource::check_read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const {
  const auto wanted = ids.size() * static_cast<std::size_t>(image_bytes());
  if (out.size() != wanted) {
    throw DataError("reading " + std::to_string(ids.size()) + " images of " + info_.name +
                    " needs a buffer of " + std::to_string(wanted) + " bytes, not " +
                    std::to_string(out.size()));
  }
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= info_.images) {
      throw DataError(info_.name + " has no image " + std::to_string(id) +
                      "; its images are 0 to " + std::to_string(info_.images - 1));
    }
  }
}

bool has_split(const std::string& path, Split split) {
  if (is_synthetic(path)) return true;
  const auto shards = expand_paths(path);
  return std::any_of(shards.begin(), shards.end(), [split](const std::string& shard) {
    return DatasetFile(shard).split(split) != nullptr;
  });
}

std::unique_ptr<ImageSource> open_source(const std::string& path, Split split, CacheKind cache) {
  if (path.empty()) {
    throw ConfigError("no dataset is named; give one with --data.path");
  }
  if (is_synthetic(path)) {
    return SyntheticSource::open(path, split);
  }
  auto shards = ShardSet::open(path, split);
  if (cache == CacheKind::kHost) {
    return std::make_unique<ImageCache>(std::move(shards));
  }
  return shards;
}

}  // namespace gondola
