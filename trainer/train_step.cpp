#include "trainer/train_step.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/autograd.h>

#include <utility>
#include <vector>

#include "trainer/latent/random_origin.hpp"
#include "trainer/layers/deterministic_convolutions.hpp"
#include "trainer/model.hpp"
#include "trainer/parallel/replica_check.hpp"

namespace gondola {
namespace {

/// The relative spread of independent estimates g_i of the gradient, i = 1 ... n: the mean of
/// |g_i - g|^2 is estimated by the sample variance s^2, |g|^2 by |mean|^2 - s^2 / n. 0-dim.
torch::Tensor spread_of(const std::vector<torch::Tensor>& estimates) {
  const auto all = torch::stack(estimates).to(torch::kFloat64);  // [n, P]
  const auto n = static_cast<double>(estimates.size());
  const auto mean = all.mean(0);
  const auto variance = (all - mean).square().sum() / (n - 1);
  const auto square = mean.square().sum() - variance / n;
  return (variance / square.clamp_min(1e-300)).sqrt();
}

/// Of the configuration alone, and so the same on all ranks. Sums of nearly half the gradient cost
/// more than they let hide: a convolutional step over 1 Gbit/s took 1.3 times as long.
bool saves_waiting(const RunConfig& config, const TrainedState& state, int ranks) {
  if (ranks == 1 || config.parallel.overlap == Overlap::kOff || config.trainer.cuda_graph ||
      config.parallel.coordinate_ranks > 1 || !state.objective.splits_at_latents()) {
    return false;
  }
  const auto sums =
      state.decoder.origin_sums(config.coordinates.inner.count, config.trainer.batch_size);
  return sums > 0 && 4 * sums <= state.decoder.parameters().flat().numel();
}

/// The first image of part `i` of a batch's `parts`, and how many it has.
std::pair<std::int64_t, std::int64_t> part_of(std::int64_t images, std::int64_t i,
                                              std::int64_t parts) {
  const auto first = images * i / parts;
  return {first, images * (i + 1) / parts - first};
}

}  // namespace

TrainStep::TrainStep(const RunConfig& config, TrainedState state, Communicator& communicator,
                     PhaseTimer& timer, const MakeDeviceGraph& graphs)
    : config_(config),
      state_(state),
      communicator_(communicator),
      timer_(timer),
      reducer_(config.parallel.bucket_bytes > 0
                   ? GradientReducer(communicator, config.parallel.bucket_bytes)
                   : GradientReducer(communicator)),
      bound_(config.trainer.outlier_factor, state.decoder.parameters().flat().device()),
      overlaps_(saves_waiting(config, state, communicator.size())) {
  if (graphs) recorded_.emplace(graphs);
}

/// u8 or float32 pixels on any device -> what the objective takes: values in [0, 1] like the
/// parameters, or the bytes as they are.
torch::Tensor TrainStep::taken(const torch::Tensor& pixels) const {
  if (state_.objective.takes_bytes() && !pixels.is_floating_point()) return pixels;
  const auto& flat = state_.decoder.parameters().flat();
  const auto dtype = flat.scalar_type();
  return pixels.is_floating_point() ? pixels.to(flat.device(), dtype)
                                    : to_values(pixels, dtype, flat.device());
}

/// The mean of the (global) batch, exact: integer sums do not depend on how the batch is split. [1,
/// C, H, W]
torch::Tensor TrainStep::batch_mean(const torch::Tensor& pixels) {
  const auto bytes = pixels.is_floating_point() ? pixels.mul(255).round_() : pixels;
  auto sum = bytes.sum(0, /*keepdim=*/true, torch::kInt64);
  if (config_.model.batch_norm == BatchNormMode::kSync && communicator_.size() > 1) {
    communicator_.all_reduce_sum(sum);
  }
  const auto images = static_cast<double>(batch_norm_images(pixels.size(0)));
  const auto dtype = state_.decoder.parameters().flat().scalar_type();
  return (sum.to(torch::kFloat64) / (255.0 * images)).to(dtype);
}

/// Images whose statistics a pass shares.
std::int64_t TrainStep::batch_norm_images(std::int64_t own) const {
  return config_.model.batch_norm == BatchNormMode::kSync ? config_.trainer.batch_size : own;
}

/// Forward and backward of one (part of a) batch; gradients add up in the flat buffer, sums in the
/// result. With a reduction, the backward pass of the outer part alone.
Losses TrainStep::accumulate_gradient(const ObjectiveBatch& batch,
                                      const StepCoordinates& coordinates,
                                      OverlappedReduction* reduction, StepResult& result) {
  auto losses = state_.objective.losses(
      batch,
      {.inner = {.coordinates = coordinates.inner_or_grid(), .reduction = reduction},
       .outer = {.coordinates = coordinates.outer_or_grid(), .record = &statistics_}},
      &timer_);
  losses.outer.sum().backward();
  const at::NoGradGuard no_grad;
  const auto sum = [](const torch::Tensor& values) { return values.sum(torch::kFloat64); };
  const auto nothing = torch::zeros({}, losses.loss.options().dtype(torch::kFloat64));
  result.sums +=
      torch::stack({sum(losses.loss), losses.inner.defined() ? sum(losses.inner) : nothing,
                    sum(losses.latents.square())});
  result.image_losses.push_back(losses.loss);
  for (const auto& [name, values] : losses.parts) {
    auto& total = result.parts.try_emplace(name, nothing).first->second;
    total = total + sum(values);
  }
  return losses;
}

/// The part of all ranks' gradient that goes through the latents, made while the rest is reduced.
/// [P]
torch::Tensor TrainStep::origin_part(const Losses& losses) const {
  auto& parameters = state_.decoder.parameters();
  std::vector<torch::Tensor> tensors;
  for (std::size_t i = 0; i < parameters.count(); ++i) tensors.push_back(parameters[i]);
  const DeterministicConvolutions alike;
  auto of_tensors = torch::autograd::grad({losses.encoded}, tensors, {losses.latents.grad()},
                                          /*retain_graph=*/false, /*create_graph=*/false,
                                          /*allow_unused=*/true);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto& gradient = of_tensors[i];
    gradient = gradient.defined() ? gradient.flatten() : torch::zeros_like(tensors[i]).flatten();
  }
  const at::NoGradGuard no_grad;
  return torch::cat(of_tensors);
}

/// Collective. The first time: whether all ranks have the same bits.
void TrainStep::agree_on(torch::Tensor& origin, StepResult& result) {
  if (std::exchange(compared_, true)) return;
  if (same_on_all_ranks(communicator_, origin)) return;
  communicator_.broadcast(origin, 0);
  overlaps_ = false;
  result.warning =
      "the ranks round the same gradient in different ways (their processors differ, or their "
      "numbers of threads), so that it is reduced as a whole and not while a part of it is "
      "computed (--parallel.overlap off does that without this warning)";
}

/// Collective. The gradient of the mean loss, and its norm.
void TrainStep::finish_gradient(StepResult& result) {
  const at::NoGradGuard no_grad;
  auto& gradient = state_.decoder.parameters().flat_gradient();
  gradient.mul_(state_.objective.scale());
  result.gradient_norm = gradient.norm();
  // Another processor may round the norm of the same gradient in another way.
  if (communicator_.size() > 1 && config_.trainer.outlier_factor > 0) {
    communicator_.broadcast(result.gradient_norm, 0);
  }
}

void TrainStep::update(StepResult& result, const torch::Tensor& learning_rate) {
  const at::NoGradGuard no_grad;
  auto& parameters = state_.decoder.parameters();
  auto& gradient = parameters.flat_gradient();
  // The reduced gradient is the same on all ranks, so they agree on skipping without asking.
  const auto good = bound_.holds(result.gradient_norm);
  result.skipped = good.logical_not().to(torch::kFloat32);
  bound_.add(result.gradient_norm, good);
  if (config_.optimizer.clip_norm > 0) {
    gradient.mul_((config_.optimizer.clip_norm / (result.gradient_norm + 1e-12)).clamp_max(1.0));
  }
  state_.optimizer.step(parameters.flat(), gradient, learning_rate, result.skipped);
  for (const auto& pass : statistics_) {
    parameters.update_running_averages(pass, result.skipped);
  }
  state_.objective.update(result.skipped);
  if (state_.average.defined()) {
    const auto moved = state_.average.lerp(parameters.flat(), 1 - config_.trainer.ema_decay);
    state_.average.copy_(at::where(result.skipped.to(torch::kBool), state_.average, moved));
  }
}

ObjectiveBatch TrainStep::batch_of(const StepInput& input, const StepView& view) {
  const auto device = state_.decoder.parameters().flat().device();
  const auto on_device = view.pixels.to(device, /*non_blocking=*/true);
  ObjectiveBatch batch;
  batch.images = taken(on_device);
  if (view.target_pixels.defined()) {
    batch.targets = taken(view.target_pixels.to(device, /*non_blocking=*/true));
  }
  if (input.labels.defined()) batch.labels = input.labels.to(device, /*non_blocking=*/true);
  batch.global_images = batch_norm_images(view.pixels.size(0));
  if (state_.decoder.couples_images(Normalisation::kBatch)) {
    batch.mean_image = batch_mean(on_device);
  }
  batch.global_ids = input.global_ids;
  batch.first = input.first;
  return batch;
}

/// Of each part of the batch.
std::vector<Noise> TrainStep::noise_of(const StepInput& input, std::int64_t step) const {
  std::vector<Noise> result;
  const auto parts = config_.trainer.accumulate;
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto [first, count] = part_of(std::ssize(input.ids), i, parts);
    result.push_back(keyed_noise(
        state_.decoder.latent_shape(),
        input.ids.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
        config_.run.seed, /*prefix=*/"", step, state_.decoder.parameters().flat().options()));
  }
  return result;
}

/// This rank's gradient, into the flat buffer, and its sums. With a reduction, without what the
/// last part's origin adds to it. @return the losses of the last part.
Losses TrainStep::own_gradient(const ObjectiveBatch& batch, const StepCoordinates& coordinates,
                               const std::vector<Noise>& noise, OverlappedReduction* reduction,
                               StepResult& result) {
  auto& parameters = state_.decoder.parameters();
  parameters.zero_gradient();
  statistics_.clear();
  result.sums = torch::zeros({3}, parameters.flat().options().dtype(torch::kFloat64));
  result.parts.clear();
  result.image_losses.clear();
  const auto parts = config_.trainer.accumulate;
  Losses last;
  for (std::int64_t i = 0; i < parts; ++i) {
    ObjectiveBatch part = batch;
    if (parts > 1) {
      const auto [first, count] = part_of(batch.images.size(0), i, parts);
      for (auto* tensor : {&part.images, &part.targets, &part.labels}) {
        if (tensor->defined()) *tensor = tensor->narrow(0, first, count);
      }
    }
    part.noise = noise[static_cast<std::size_t>(i)];
    last = accumulate_gradient(part, coordinates, i + 1 == parts ? reduction : nullptr, result);
  }
  const at::NoGradGuard no_grad;
  auto& gradient = parameters.flat_gradient();
  // A loss that is not finite makes the gradient so, on all ranks: 0 times it is NaN, else 0.
  gradient.narrow(0, 0, 1).add_(result.sums[0] * 0);
  result.own_sum = gradient.sum();
  return last;
}

/// Collective. The sum over all ranks.
void TrainStep::reduce_gradient(StepResult& result) {
  if (communicator_.size() == 1) return;
  timer_.enter(Phase::kWait);
  communicator_.barrier();
  timer_.enter(Phase::kAllReduce);
  result.bytes_reduced += reducer_.reduce(state_.decoder.parameters().flat_gradient());
}

/// The gradient of the sum over the global batch, into the flat buffer of every rank.
void TrainStep::make_gradient(const StepInput& input, const StepView& view, std::int64_t step,
                              StepResult& result) {
  auto& gradient = state_.decoder.parameters().flat_gradient();
  timer_.enter(Phase::kData);
  const auto batch = batch_of(input, view);
  const bool overlaps = overlaps_;  // for this gradient
  OverlappedReduction reduction(communicator_, reducer_, timer_, gradient);
  const auto last = own_gradient(batch, view.coordinates, noise_of(input, step),
                                 overlaps ? &reduction : nullptr, result);
  if (!overlaps) {
    reduce_gradient(result);
    return;
  }
  auto origin = origin_part(last);
  const at::NoGradGuard no_grad;
  reduction.wait();
  agree_on(origin, result);
  gradient.add_(origin);
  result.own_sum += reduction.own_sum();
  result.bytes_reduced += reduction.bytes();
}

/// The graphs are those of a rank's gradient and of the update. Between them, the ranks meet as in
/// any step: what they wait for is seen and timed, and a lost one is found.
StepResult TrainStep::run_recorded(const StepInput& input, std::int64_t step,
                                   double learning_rate) {
  timer_.enter(Phase::kData);
  auto& inputs = recorded_->take(input, noise_of(input, step), learning_rate,
                                 state_.decoder.parameters().flat().options());
  auto& result = inputs.result;
  timer_.enter(Phase::kOuter);
  recorded_->gradient([&] {
    std::vector<Noise> noise;
    for (auto& part : inputs.noise) noise.push_back(part.noise());
    static_cast<void>(own_gradient(batch_of(inputs.step, inputs.step.view),
                                   inputs.step.view.coordinates, noise, nullptr, result));
  });
  result.bytes_reduced = 0;
  reduce_gradient(result);
  timer_.enter(Phase::kOptimizer);
  finish_gradient(result);
  inputs.gradient_norm.copy_(result.gradient_norm);
  result.gradient_norm = inputs.gradient_norm;
  recorded_->update([&] { update(result, inputs.learning_rate); });
  timer_.stop();
  return recorded_->copy_of_result();
}

StepResult TrainStep::run(const StepInput& input, std::int64_t step, double learning_rate) {
  if (recorded_ && input.others.empty()) return run_recorded(input, step, learning_rate);
  const auto& gradient = state_.decoder.parameters().flat_gradient();
  StepResult result;
  std::vector<torch::Tensor> estimates;
  for (const auto& view : input.others) {
    make_gradient(input, view, step, result);
    estimates.push_back(gradient.clone());
  }
  make_gradient(input, input.view, step, result);
  if (!estimates.empty()) {
    const at::NoGradGuard no_grad;
    estimates.push_back(gradient);
    result.spread = spread_of(estimates);
  }
  timer_.enter(Phase::kOptimizer);
  finish_gradient(result);
  update(result, at::scalar_tensor(learning_rate, torch::kFloat64));
  timer_.stop();
  return result;
}

}  // namespace gondola
