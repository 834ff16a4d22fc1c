#include "data/image_cache.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "data/gather.hpp"
#include "data/pixel_values.hpp"

namespace gondola {

std::int64_t ImageCache::bytes_of(const ImageSource& source) {
  return source.images() * source.image_bytes();
}

ImageCache::ImageCache(std::unique_ptr<ImageSource> source, SharedMemory memory)
    : ImageSource(source->info()), source_(std::move(source)), memory_(std::move(memory)) {
  assert(static_cast<std::int64_t>(memory_.bytes().size()) == bytes_of(*source_));
}

void ImageCache::fill(std::int64_t first, std::int64_t count) const {
  assert(source_ && first >= 0 && count >= 0 && first + count <= images());
  constexpr std::int64_t kPartBytes = std::int64_t{1} << 22;
  const std::int64_t part = std::max<std::int64_t>(1, kPartBytes / image_bytes());
  const std::int64_t end = first + count;
  std::vector<std::int64_t> ids;
  while (first < end) {
    ids.resize(static_cast<std::size_t>(std::min(part, end - first)));
    std::iota(ids.begin(), ids.end(), first);
    source_->read(ids,
                  memory_.bytes().subspan(static_cast<std::size_t>(first * image_bytes()),
                                          ids.size() * static_cast<std::size_t>(image_bytes())));
    first += static_cast<std::int64_t>(ids.size());
  }
}

void ImageCache::finish() {
  source_->forget();
  source_.reset();
  memory_.protect();
}

void ImageCache::read(std::span<const std::int64_t> ids, std::span<std::uint8_t> out) const {
  check_read(ids, out.size());
  const auto bytes = static_cast<std::size_t>(image_bytes());
  gather_images(
      ids, bytes, [&](std::int64_t id) { return memory_.bytes().data() + id * image_bytes(); },
      [&](std::size_t i, const std::uint8_t* image) {
        std::memcpy(out.data() + i * bytes, image, bytes);
      });
}

void ImageCache::read_values(std::span<const std::int64_t> ids, std::span<float> out) const {
  check_read(ids, out.size());
  const auto bytes = static_cast<std::size_t>(image_bytes());
  gather_images(
      ids, bytes, [&](std::int64_t id) { return memory_.bytes().data() + id * image_bytes(); },
      [&](std::size_t i, const std::uint8_t* image) {
        bytes_to_values({image, bytes}, out.subspan(i * bytes, bytes));
      });
}

void ImageCache::pick(std::span<const std::int64_t> ids, std::span<const std::int64_t> pixels,
                      std::span<std::uint8_t> out) const {
  check_pick(ids, pixels, out.size());
  const auto picked = static_cast<std::size_t>(channels()) * pixels.size();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    pick_of_image(memory_.bytes().data() + ids[i] * image_bytes(), pixels, out.data() + i * picked);
  }
}

}  // namespace gondola
