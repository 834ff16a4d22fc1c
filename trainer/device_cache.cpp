#include "trainer/device_cache.hpp"

#include <algorithm>
#include <vector>

#include "trainer/evaluation/evaluate.hpp"

namespace gondola {
namespace {

class PixelFreeSource final : public ImageSource {
 public:
  explicit PixelFreeSource(SourceInfo info) : ImageSource(std::move(info)) {}
  void read(std::span<const std::int64_t>, std::span<std::uint8_t>) const override {}
};

}  // namespace

DeviceCache::DeviceCache(const ImageSource& source, torch::Device device) {
  images_ = torch::empty({source.images(), source.channels(), source.height(), source.width()},
                         torch::TensorOptions().dtype(torch::kUInt8).device(device));
  constexpr std::int64_t kChunkBytes = std::int64_t{64} << 20;
  const auto chunk = std::max<std::int64_t>(1, kChunkBytes / source.image_bytes());
  for (std::int64_t first = 0; first < source.images(); first += chunk) {
    const auto count = std::min(chunk, source.images() - first);
    images_.narrow(0, first, count).copy_(read_pixels(source, first, count));
  }
}

torch::Tensor DeviceCache::gather(std::span<const std::int64_t> ids) const {
  const auto index =
      torch::tensor(at::ArrayRef<std::int64_t>(ids.data(), ids.size()), torch::kInt64);
  return images_.index_select(0, index.to(images_.device()));
}

std::unique_ptr<ImageSource> without_pixels(const ImageSource& source) {
  SourceInfo info;
  info.name = source.name();
  info.images = source.images();
  info.channels = source.channels();
  info.height = source.height();
  info.width = source.width();
  if (source.has_labels()) {
    info.labels.resize(static_cast<std::size_t>(source.images()));
    for (std::int64_t id = 0; id < source.images(); ++id)
      info.labels[static_cast<std::size_t>(id)] = source.label(id);
  }
  return std::make_unique<PixelFreeSource>(std::move(info));
}

}  // namespace gondola
