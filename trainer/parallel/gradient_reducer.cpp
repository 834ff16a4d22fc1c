#include "trainer/parallel/gradient_reducer.hpp"

#include <torch/types.h>

#include <algorithm>

namespace gondola {

GradientReducer::GradientReducer(Communicator& communicator, std::int64_t bucket_bytes)
    : communicator_(communicator), bucket_bytes_(bucket_bytes) {
  TORCH_CHECK(bucket_bytes > 0, "bucket_bytes must be positive, got ", bucket_bytes);
}

void GradientReducer::for_buckets(torch::Tensor& flat,
                                  const std::function<void(torch::Tensor&)>& of_bucket) {
  TORCH_CHECK(flat.dim() == 1 && flat.is_contiguous(), "flat must be a contiguous [n], got ",
              flat.sizes());
  if (communicator_.size() == 1) return;
  const torch::NoGradGuard no_grad;
  const auto element = static_cast<std::int64_t>(flat.element_size());
  const auto largest = std::max<std::int64_t>(bucket_bytes_ / element, 1);
  for (std::int64_t first = 0; first < flat.numel(); first += largest) {
    auto bucket = flat.narrow(0, first, std::min(largest, flat.numel() - first));
    of_bucket(bucket);
  }
}

std::int64_t GradientReducer::reduce(torch::Tensor& flat) {
  const auto bytes = static_cast<std::int64_t>(flat.nbytes());
  if (bytes > bucket_bytes_ && communicator_.pipelines_sums()) {
    start(flat).wait();
  } else {
    for_buckets(flat, [this](torch::Tensor& bucket) { communicator_.all_reduce_sum(bucket); });
  }
  return communicator_.size() == 1 ? 0 : bytes;
}

PendingReduction GradientReducer::start(torch::Tensor& flat) {
  PendingReduction pending;
  for_buckets(flat, [&](torch::Tensor& bucket) {
    pending.add(communicator_.start_all_reduce_sum(bucket));
  });
  return pending;
}

}  // namespace gondola
