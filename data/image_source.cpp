#include "data/image_source.hpp"

#include <algorithm>

#include "configs/errors.hpp"
#include "data/dataset_file.hpp"
#include "data/expand_paths.hpp"
#include "data/image_cache.hpp"
#include "data/pixel_values.hpp"
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

void ImageSource::check_buffer(std::span<const std::int64_t> ids, std::size_t wanted,
                               std::size_t given) const {
  if (given != wanted) {
    throw DataError("reading " + std::to_string(ids.size()) + " images of " + info_.name +
                    " needs a buffer of " + std::to_string(wanted) + " bytes, not " +
                    std::to_string(given));
  }
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= info_.images) {
      throw DataError(info_.name + " has no image " + std::to_string(id) +
                      "; its images are 0 to " + std::to_string(info_.images - 1));
    }
  }
}

void ImageSource::check_read(std::span<const std::int64_t> ids, std::size_t out_values) const {
  check_buffer(ids, ids.size() * static_cast<std::size_t>(image_bytes()), out_values);
}

void ImageSource::check_pick(std::span<const std::int64_t> ids,
                             std::span<const std::int64_t> pixels, std::size_t out_values) const {
  check_buffer(ids, ids.size() * static_cast<std::size_t>(channels()) * pixels.size(), out_values);
  const auto outside = std::find_if(pixels.begin(), pixels.end(), [this](std::int64_t pixel) {
    return pixel < 0 || pixel >= height() * width();
  });
  if (outside != pixels.end()) {
    throw DataError("the images of " + info_.name + " have no pixel " + std::to_string(*outside) +
                    "; their pixels are 0 to " + std::to_string(height() * width() - 1));
  }
}

void ImageSource::pick_of_image(const std::uint8_t* image, std::span<const std::int64_t> pixels,
                                std::uint8_t* out) const {
  for (std::int64_t channel = 0; channel < channels(); ++channel) {
    const std::uint8_t* const plane = image + channel * height() * width();
    for (const std::int64_t pixel : pixels) *out++ = plane[pixel];
  }
}

void ImageSource::pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
                       std::span<std::uint8_t> out) const {
  check_pick(ids, pixels, out.size());
  const auto picked = static_cast<std::size_t>(channels()) * pixels.size();
  thread_local std::vector<std::uint8_t> image;
  image.resize(static_cast<std::size_t>(image_bytes()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    read(ids.subspan(i, 1), image);
    pick_of_image(image.data(), pixels, out.data() + i * picked);
  }
}

void ImageSource::read_values(std::span<const std::int64_t> ids, std::span<float> out) const {
  check_read(ids, out.size());
  const auto bytes = static_cast<std::size_t>(image_bytes());
  constexpr std::size_t kBufferBytes = std::size_t{64} << 10;  // stays in the cache
  const std::size_t part = std::max<std::size_t>(1, kBufferBytes / bytes);
  thread_local std::vector<std::uint8_t> buffer;
  for (std::size_t i = 0; i < ids.size(); i += part) {
    const std::size_t count = std::min(part, ids.size() - i);
    buffer.resize(count * bytes);
    read(ids.subspan(i, count), buffer);
    bytes_to_values(buffer, out.subspan(i * bytes, count * bytes));
  }
}

void ImageSource::fetch(std::int64_t, std::int64_t) const {}

void ImageSource::forget() const {}

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
  if (cache != CacheKind::kHost) {
    return shards;
  }
  auto memory = SharedMemory::create(ImageCache::bytes_of(*shards));
  auto cached = std::make_unique<ImageCache>(std::move(shards), std::move(memory));
  cached->fill(0, cached->images());
  cached->finish();
  return cached;
}

}  // namespace gondola
