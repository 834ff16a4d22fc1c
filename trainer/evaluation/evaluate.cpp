#include "trainer/evaluation/evaluate.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "trainer/evaluation/metrics.hpp"
#include "trainer/model.hpp"
#include "trainer/objectives/squared_error.hpp"

namespace gondola {

torch::Tensor read_pixels(const ImageSource& source, std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  auto pixels =
      torch::empty({count, source.channels(), source.height(), source.width()}, torch::kUInt8);
  source.read(ids, {pixels.data_ptr<std::uint8_t>(), static_cast<std::size_t>(pixels.numel())});
  return pixels;
}

EvalReport evaluate(const RunConfig& config, const Reconstructor& reconstructor,
                    const ImageSource& source, const torch::TensorOptions& options,
                    std::int64_t images, Communicator& control) {
  const auto total = images == 0 ? source.images() : std::min(images, source.images());
  const auto group = config.evaluation.group_images;
  const auto groups = (total + group - 1) / group;
  const auto first_group = groups * control.rank() / control.size();
  const auto last_group = groups * (control.rank() + 1) / control.size();

  auto sums = torch::zeros({4}, torch::kFloat64);  // squared error, psnr, ssim, images
  for (auto g = first_group; g < last_group; ++g) {
    const auto first = g * group;
    const auto count = std::min(group, total - first);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    const auto target = to_values(read_pixels(source, first, count), options.dtype().toScalarType(),
                                  options.device());
    const auto image = reconstructor.reconstruct(target, ids).images;
    const auto per_image =
        torch::stack({squared_error_per_image(image, target), psnr_per_image(image, target),
                      ssim_per_image(image, target), torch::ones({count}, options)});  // [4, count]
    sums += per_image.sum(1, /*keepdim=*/false, torch::kFloat64).to(torch::kCPU);
  }
  control.all_reduce_sum(sums);

  EvalReport report;
  report.images = static_cast<std::int64_t>(sums[3].item<double>());
  const auto mean = sums / sums[3];
  report.metrics = {{"loss", mean[0].item<double>()},
                    {"psnr", mean[1].item<double>()},
                    {"ssim", mean[2].item<double>()}};
  report.encoding = reconstructor.description();
  return report;
}

}  // namespace gondola
