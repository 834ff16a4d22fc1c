#include "trainer/step_watch.hpp"

#include <cmath>
#include <utility>

namespace gondola {

StepWatch::StepWatch(const RunConfig& config, const torch::Tensor& weights, Communicator& control,
                     std::function<std::vector<std::int64_t>(Cursor)> ids)
    : config_(config), weights_(weights.detach()), control_(control), ids_(std::move(ids)) {}

void StepWatch::add(std::int64_t step, Cursor cursor, const StepResult& result) {
  waiting_.push_back({.step = step,
                      .cursor = cursor,
                      .bad = result.skipped,
                      .gradient_norm = result.gradient_norm,
                      .own_sum = result.own_sum,
                      .image_losses = result.image_losses});
}

Slice StepWatch::own_positions() const {
  const auto sharers = config_.parallel.coordinate_ranks;
  return slice_of(config_.trainer.batch_size, control_.rank() / sharers, control_.size() / sharers);
}

/// [W + n (W + B)] int64, summed over the ranks a table of all of them: whose weights are not
/// finite; and of each of the n bad steps whose gradient, and of which images the loss.
torch::Tensor StepWatch::own_findings(const std::vector<const Waiting*>& bad) const {
  const std::int64_t world = control_.size();
  const auto stride = world + config_.trainer.batch_size;
  auto findings =
      torch::zeros({world + static_cast<std::int64_t>(bad.size()) * stride}, torch::kInt64);
  const auto not_finite = [](const torch::Tensor& values) {
    return at::isfinite(values).logical_not().to(torch::kCPU, torch::kInt64);
  };
  findings[control_.rank()] =
      at::isfinite(weights_).all().logical_not().to(torch::kCPU, torch::kInt64);
  for (std::size_t i = 0; i < bad.size(); ++i) {
    auto of_step = findings.narrow(0, world + static_cast<std::int64_t>(i) * stride, stride);
    of_step[control_.rank()] = not_finite(bad[i]->own_sum);
    auto first = world + own_positions().begin;
    for (const auto& losses : bad[i]->image_losses) {
      of_step.narrow(0, first, losses.numel()).copy_(not_finite(losses));
      first += losses.numel();
    }
  }
  return findings;
}

/// @param findings of this step, summed over the ranks.
void StepWatch::read_findings(const std::int64_t* findings, BadStep& bad) const {
  for (int rank = 0; rank < control_.size(); ++rank) {
    if (*findings++ > 0) bad.ranks.push_back(rank);
  }
  for (std::int64_t position = 0; position < config_.trainer.batch_size; ++position) {
    if (findings[position] > 0) bad.positions.push_back(position);
  }
  if (!bad.positions.empty()) {
    bad.trouble = Trouble::kLoss;
  } else {
    bad.trouble = std::isfinite(bad.gradient_norm) ? Trouble::kBound : Trouble::kGradient;
  }
}

std::vector<BadStep> StepWatch::take() {
  std::vector<torch::Tensor> flags;
  for (const auto& step : waiting_) flags.push_back(step.bad);
  const auto read =
      flags.empty() ? torch::zeros({0}, torch::kFloat32) : torch::stack(flags).to(torch::kCPU);
  std::vector<const Waiting*> found;
  std::vector<BadStep> result;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const bool bad = read[static_cast<std::int64_t>(i)].item<float>() != 0;
    in_a_row_ = bad ? in_a_row_ + 1 : 0;
    if (!bad) continue;
    const auto& step = waiting_[i];
    found.push_back(&step);
    result.push_back({.step = step.step,
                      .cursor = step.cursor,
                      .in_a_row = in_a_row_,
                      .gradient_norm = step.gradient_norm.item<double>(),
                      .ids = ids_(step.cursor),
                      .world = control_.size()});
  }
  if (!found.empty()) {
    auto findings = own_findings(found);
    control_.all_reduce_sum(findings);
    const auto* const weights = findings.const_data_ptr<std::int64_t>();
    const auto* of_step = weights + control_.size();
    for (auto& bad : result) {
      read_findings(of_step, bad);
      of_step += control_.size() + config_.trainer.batch_size;
      std::vector<int> broken;
      for (int rank = 0; rank < control_.size(); ++rank) {
        if (weights[rank] > 0) broken.push_back(rank);
      }
      if (broken.empty()) continue;
      bad.trouble = Trouble::kWeights;
      bad.ranks = std::move(broken);
    }
  }
  waiting_.clear();
  return result;
}

}  // namespace gondola
