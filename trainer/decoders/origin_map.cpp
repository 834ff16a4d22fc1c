#include "trainer/decoders/origin_map.hpp"

#include <algorithm>

#include "trainer/kernels/matrix_product.hpp"

namespace gondola {

torch::Tensor OriginMap::operator()(const torch::Tensor& images) const {
  constexpr std::int64_t kBlockImages = 512;
  // Where there is a choice, oneDNN is half as fast again with so few columns.
  const bool onednn = matrix.device().is_cpu() && is_available(ProductLibrary::kOneDnn);
  const auto library = onednn ? ProductLibrary::kOneDnn : ProductLibrary::kAten;
  const MatrixProduct product(library, library);
  const auto values = images.reshape({images.size(0), matrix.size(1)});  // [B, V]
  auto latents = torch::empty({images.size(0), matrix.size(0)}, values.options());
  for (std::int64_t first = 0; first < images.size(0); first += kBlockImages) {
    const auto count = std::min(kBlockImages, images.size(0) - first);
    auto block = values.narrow(0, first, count);
    if (count < kBlockImages) {
      block = torch::constant_pad_nd(block, {0, 0, 0, kBlockImages - count});
    }
    const auto space = torch::empty({kBlockImages, matrix.size(0)}, values.options());
    latents.narrow(0, first, count)
        .copy_(product.multiply(block, matrix, space).narrow(0, 0, count));
  }
  return latents.add_(offset);
}

}  // namespace gondola
