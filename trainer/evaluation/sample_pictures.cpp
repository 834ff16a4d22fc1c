#include "trainer/evaluation/sample_pictures.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "trainer/image_shape.hpp"
#include "trainer/model.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kImages = 32;  // in a grid
constexpr std::int64_t kSide = 512;   // longest of a picture, in pixels

}  // namespace

SampleReport sample_pictures(const Reconstructor& reconstructor, const EvaluationImages& images,
                             std::int64_t group_images, const torch::TensorOptions& options) {
  const auto& [source, targets] = images;
  const auto shape = shape_of(source);
  const auto longest = std::max(shape.height, shape.width);
  const auto shown = [&](std::int64_t side) {
    return longest <= kSide ? side : std::max<std::int64_t>(1, side * kSide / longest);
  };
  SampleReport report;
  report.n = std::min(kImages, source.images());
  report.channels = shape.channels;
  report.height = shown(shape.height);
  report.width = shown(shape.width);
  // Images that share statistics come in a whole group, of which the first are shown.
  const auto group = reconstructor.independent()
                         ? report.n
                         : std::min(std::max(report.n, group_images), source.images());
  std::vector<std::int64_t> ids(static_cast<std::size_t>(group));
  std::iota(ids.begin(), ids.end(), 0);
  const auto values = [&](const ImageSource& from) {
    return to_values(read_pixels(from, 0, group), options.dtype().toScalarType(), options.device());
  };
  const auto as_pictures = [&](const torch::Tensor& whole) {
    auto host = whole.narrow(0, 0, report.n);
    if (longest > kSide) host = at::adaptive_avg_pool2d(host, {report.height, report.width});
    host = host.to(torch::kCPU, torch::kFloat32).contiguous();
    return std::vector<float>(host.data_ptr<float>(), host.data_ptr<float>() + host.numel());
  };
  const auto originals = values(source);
  report.originals = as_pictures(targets != nullptr ? values(*targets) : originals);
  report.reconstructions = as_pictures(reconstructor.reconstruct(originals, ids).images);
  return report;
}

}  // namespace gondola
