#include "launch/encoded_images.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "trainer/evaluation/evaluate.hpp"
#include "trainer/model.hpp"

namespace gondola {

torch::Tensor encode_images(TrainedModel& model, const ImageSource& source, std::int64_t images) {
  const auto total = images == 0 ? source.images() : std::min(images, source.images());
  const auto group = model.config().evaluation.group_images;
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < total; first += group) {
    const auto count = std::min(group, total - first);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    const auto values = to_values(read_pixels(source, first, count),
                                  model.options().dtype().toScalarType(), model.options().device());
    parts.push_back(model.reconstructor().encode(values, ids).to(torch::kCPU, torch::kFloat32));
  }
  return torch::cat(parts).contiguous();
}

std::vector<float> host_values(const torch::Tensor& images) {
  const auto host = images.to(torch::kCPU, torch::kFloat32).contiguous();
  return {host.data_ptr<float>(), host.data_ptr<float>() + host.numel()};
}

}  // namespace gondola
