#include "trainer/evaluation/evaluate.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "trainer/evaluation/metrics.hpp"
#include "trainer/model.hpp"

namespace gondola {
namespace {

void check_labels(std::span<const std::int64_t> labels, std::int64_t classes,
                  const std::string& where) {
  for (const auto label : labels) {
    if (label >= 0 && label < classes) continue;
    throw DataError(where + " has the label " + std::to_string(label) + ", the model " +
                    std::to_string(classes) +
                    " classes from 0 on: set model.classes, or number the labels anew");
  }
}

}  // namespace

torch::Tensor read_pixels(const ImageSource& source, std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return read_pixels(source, ids);
}

torch::Tensor read_pixels(const ImageSource& source, std::span<const std::int64_t> ids) {
  auto pixels = torch::empty(
      {static_cast<std::int64_t>(ids.size()), source.channels(), source.height(), source.width()},
      torch::kUInt8);
  source.read(ids, {pixels.data_ptr<std::uint8_t>(), static_cast<std::size_t>(pixels.numel())});
  return pixels;
}

torch::Tensor read_pixels(const ImageSource& source, std::span<const std::int64_t> ids,
                          std::span<const std::int64_t> pixels) {
  auto picked = torch::empty({static_cast<std::int64_t>(ids.size()), source.channels(),
                              static_cast<std::int64_t>(pixels.size())},
                             torch::kUInt8);
  source.pick(ids, pixels,
              {picked.data_ptr<std::uint8_t>(), static_cast<std::size_t>(picked.numel())});
  return picked;
}

bool learns_classes(Family family) {
  return family == Family::kClassifier || family == Family::kJoint;
}

torch::Tensor read_labels(const ImageSource& source, std::int64_t first, std::int64_t count,
                          std::int64_t classes) {
  if (!source.has_labels()) {
    throw DataError(source.name() +
                    " has no labels, which this family learns from: import them with the images, "
                    "or set model.family = gon");
  }
  auto labels = torch::empty({count}, torch::kInt64);
  auto* values = labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) values[i] = source.label(first + i);
  check_labels({values, static_cast<std::size_t>(count)}, classes, source.name());
  return labels;
}

EvalReport evaluate(const RunConfig& config, const Reconstructor& reconstructor,
                    const EvaluationImages& on, const torch::TensorOptions& options,
                    std::int64_t images, Communicator& control, CollectiveProgress& progress) {
  const auto& source = on.source;
  const auto total = images == 0 ? source.images() : std::min(images, source.images());
  const auto group = config.evaluation.group_images;
  const auto groups = (total + group - 1) / group;
  const auto first_group = groups * control.rank() / control.size();
  const auto last_group = groups * (control.rank() + 1) / control.size();

  // A rank without a group looks at one image, uncounted, so that it too knows what is measured.
  std::map<std::string, torch::Tensor> sums;
  const auto add = [&](std::int64_t first, std::int64_t count) {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    const auto dtype = options.dtype().toScalarType();
    const auto values = to_values(read_pixels(source, first, count), dtype, options.device());
    torch::Tensor targets;
    if (on.targets != nullptr) {
      targets = to_values(read_pixels(*on.targets, first, count), dtype, options.device());
    }
    torch::Tensor labels;
    if (learns_classes(config.model.family)) {
      labels = read_labels(source, first, count, config.model.classes).to(options.device());
    }
    const auto prediction = reconstructor.reconstruct(values, ids);
    auto measured = reconstructor.measure(prediction, values, targets, labels, ids);
    const auto& target = targets.defined() ? targets : values;
    measured["psnr"] = psnr_per_image(prediction.images, target);
    measured["ssim"] = ssim_per_image(prediction.images, target);
    for (const auto& [name, per_image] : measured) {
      const auto sum = per_image.sum(torch::kFloat64).to(torch::kCPU);
      auto& whole = sums.try_emplace(name, torch::zeros({}, torch::kFloat64)).first->second;
      whole = whole + sum;
    }
  };
  const auto start = std::chrono::steady_clock::now();
  auto images_here = std::min(last_group * group, total) - first_group * group;
  if (first_group == last_group) {
    add(0, images_here = 1);
    for (auto& [name, sum] : sums) sum = torch::zeros_like(sum);
  }
  for (auto g = first_group; g < last_group; ++g)
    add(g * group, std::min(group, total - g * group));
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const auto seconds_of_a_group =
      taken.count() * static_cast<double>(group) / static_cast<double>(images_here);

  std::vector<torch::Tensor> in_order;
  for (const auto& [name, sum] : sums) in_order.push_back(sum);
  auto all = torch::stack(in_order);
  progress.allow_extra_seconds(2 * seconds_of_a_group);  // a slower machine may have it
  control.all_reduce_sum(all);
  progress.allow_extra_seconds(0);

  EvalReport report;
  report.images = total;
  std::int64_t i = 0;
  for (const auto& [name, sum] : sums) {
    report.metrics[name] = all[i++].item<double>() / static_cast<double>(total);
  }
  report.encoding = reconstructor.description();
  return report;
}

}  // namespace gondola
