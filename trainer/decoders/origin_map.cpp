#include "trainer/decoders/origin_map.hpp"

#include <algorithm>

namespace gondola {

torch::Tensor OriginMap::operator()(const torch::Tensor& images) const {
  constexpr std::int64_t kMostBlockBytes = std::int64_t{64} << 20;
  // Of the model alone, not of the batch.
  const auto block_images = std::clamp<std::int64_t>(
      kMostBlockBytes / (matrix.size(1) * static_cast<std::int64_t>(matrix.element_size())), 1,
      512);
  const auto values = images.reshape({images.size(0), matrix.size(1)});  // [B, V]
  auto latents = torch::empty({images.size(0), matrix.size(0)}, values.options());
  for (std::int64_t first = 0; first < images.size(0); first += block_images) {
    const auto count = std::min(block_images, images.size(0) - first);
    auto block = values.narrow(0, first, count);
    if (count < block_images) {
      block = torch::constant_pad_nd(block, {0, 0, 0, block_images - count});
    }
    const auto place = latents.narrow(0, first, count);
    const auto made = product.multiply(
        block, matrix,
        count == block_images ? place
                              : torch::empty({block_images, matrix.size(0)}, values.options()));
    if (!made.is_same(place)) place.copy_(made.narrow(0, 0, count));
  }
  return latents.add_(offset);
}

}  // namespace gondola
