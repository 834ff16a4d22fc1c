#include "data/image_cache.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "configs/errors.hpp"

namespace gondola {
namespace {

/// With one more sentence where some shards cannot be mapped.
SourceInfo info_with_cache_warning(const ShardSet& shards) {
  SourceInfo info = shards.info();
  const auto unmapped = std::find_if(shards.shards().begin(), shards.shards().end(),
                                     [](const auto& shard) { return !shard.file; });
  if (unmapped != shards.shards().end()) {
    info.warnings.push_back("data.cache = host has no effect on " + unmapped->path +
                            " (nor on any shard like it), whose images are not one run of bytes");
  }
  return info;
}

}  // namespace

ImageCache::ImageCache(std::unique_ptr<ShardSet> shards)
    : ImageSource(info_with_cache_warning(*shards)), shards_(std::move(shards)) {
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  for (const auto& shard : shards_->shards()) {
    Mapping mapping;
    if (shard.file) {
      const std::int64_t begin = shard.offset_bytes / page * page;
      const std::int64_t lead = shard.offset_bytes - begin;
      mapping.length = static_cast<std::size_t>(lead + shard.images * image_bytes());
      mapping.address = ::mmap(nullptr, mapping.length, PROT_READ, MAP_SHARED | MAP_POPULATE,
                               shard.file.get(), begin);
      if (mapping.address == MAP_FAILED) {
        const int error = errno;
        unmap();
        throw IoError("cannot map " + shard.path + " (" + std::to_string(mapping.length) +
                      " bytes): " + std::strerror(error) + "; use data.cache = none");
      }
      mapping.images = static_cast<const std::uint8_t*>(mapping.address) + lead;
    }
    mappings_.push_back(mapping);
  }
}

ImageCache::~ImageCache() { unmap(); }

void ImageCache::unmap() noexcept {
  for (const Mapping& mapping : mappings_) {
    if (mapping.images != nullptr) {
      ::munmap(mapping.address, mapping.length);
    }
  }
}

void ImageCache::read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const {
  check_read(ids, out);
  const auto bytes = static_cast<std::size_t>(image_bytes());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::size_t index = shards_->shard_of(ids[i]);
    const auto& shard = shards_->shards()[index];
    const std::int64_t place = ids[i] - shard.first_id;
    const auto target = out.subspan(i * bytes, bytes);
    if (const std::uint8_t* images = mappings_[index].images) {
      std::copy_n(images + place * image_bytes(), bytes, target.begin());
    } else {
      shards_->read_run(shard, place, 1, target);
    }
  }
}

}  // namespace gondola
