#include "trainer/parallel/gradient_reducer.hpp"

#include <torch/types.h>

#include <algorithm>

namespace gondola {

GradientReducer::GradientReducer(Communicator& communicator, std::int64_t bucket_bytes)
    : communicator_(communicator), bucket_bytes_(bucket_bytes) {
  TORCH_CHECK(bucket_bytes > 0, "bucket_bytes must be positive, got ", bucket_bytes);
}

std::int64_t GradientReducer::reduce(torch::Tensor& flat) {
  TORCH_CHECK(flat.dim() == 1 && flat.is_contiguous(), "flat must be a contiguous [n], got ",
              flat.sizes());
  if (communicator_.size() == 1) return 0;
  const torch::NoGradGuard no_grad;
  const auto element = static_cast<std::int64_t>(flat.element_size());
  const auto largest = std::max<std::int64_t>(bucket_bytes_ / element, 1);
  for (std::int64_t first = 0; first < flat.numel(); first += largest) {
    auto bucket = flat.narrow(0, first, std::min(largest, flat.numel() - first));
    communicator_.all_reduce_sum(bucket);
  }
  return flat.numel() * element;
}

}  // namespace gondola
