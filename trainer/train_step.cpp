#include "trainer/train_step.hpp"

#include <ATen/core/grad_mode.h>

#include <vector>

#include "trainer/latent/random_origin.hpp"
#include "trainer/model.hpp"

namespace gondola {

TrainStep::TrainStep(const RunConfig& config, const ImageShape& shape, TrainedState state,
                     Communicator& communicator, PhaseTimer& timer)
    : config_(config),
      state_(state),
      communicator_(communicator),
      timer_(timer),
      encoder_(resolved_latent(config, shape), resolved_step_size(config, shape)),
      reducer_(communicator),
      outer_scale_(outer_scale(config, shape)) {}

/// The mean of the (global) batch, exact: integer sums do not depend on how the batch is split. [1,
/// C, H, W]
torch::Tensor TrainStep::batch_mean(const torch::Tensor& pixels) {
  const auto bytes = pixels.is_floating_point() ? pixels.mul(255).round_() : pixels;
  auto sum = bytes.sum(0, /*keepdim=*/true, torch::kInt64);
  if (config_.model.batch_norm == BatchNormMode::kSync) communicator_.all_reduce_sum(sum);
  const auto images = static_cast<double>(batch_norm_images(pixels.size(0)));
  const auto dtype = state_.decoder.parameters().flat().scalar_type();
  return (sum.to(torch::kFloat64) / (255.0 * images)).to(dtype);
}

/// Images whose statistics a pass shares.
std::int64_t TrainStep::batch_norm_images(std::int64_t own) const {
  return config_.model.batch_norm == BatchNormMode::kSync ? config_.trainer.batch_size : own;
}

/// Forward and backward of one (part of a) batch; gradients add up in the flat buffer. @return
/// StepResult::sums
torch::Tensor TrainStep::accumulate_gradient(const EncoderInput& input) {
  timer_.enter(Phase::kInner);
  const auto encoding = encoder_.encode(state_.decoder, input, LatentEncoder::Graph::kKeep,
                                        /*pass=*/{});
  timer_.enter(Phase::kOuter);
  const auto loss =
      objective_.outer(state_.decoder, encoding.latents, input.images, {.record = &statistics_});
  loss.per_image.sum().backward();
  const at::NoGradGuard no_grad;
  return torch::stack({loss.per_image.sum(torch::kFloat64),
                       encoding.inner_loss.sum(torch::kFloat64),
                       encoding.latents.square().sum(torch::kFloat64)});
}

void TrainStep::update(StepResult& result, double learning_rate) {
  const at::NoGradGuard no_grad;
  auto& parameters = state_.decoder.parameters();
  auto& gradient = parameters.flat_gradient();
  gradient.mul_(outer_scale_);
  result.gradient_norm = gradient.norm();
  // The reduced gradient is the same on all ranks, so they agree on skipping without asking.
  result.skipped = at::isfinite(result.gradient_norm).logical_not().to(torch::kFloat32);
  if (config_.optimizer.clip_norm > 0) {
    gradient.mul_((config_.optimizer.clip_norm / (result.gradient_norm + 1e-12)).clamp_max(1.0));
  }
  state_.optimizer.step(parameters.flat(), gradient, learning_rate, result.skipped);
  for (const auto& pass : statistics_) {
    state_.decoder.update_running_averages(pass, result.skipped);
  }
  if (state_.average.defined()) {
    const auto moved = state_.average.lerp(parameters.flat(), 1 - config_.trainer.ema_decay);
    state_.average.copy_(at::where(result.skipped.to(torch::kBool), state_.average, moved));
  }
}

StepResult TrainStep::run(const torch::Tensor& pixels, std::span<const std::int64_t> ids,
                          std::int64_t step, double learning_rate) {
  auto& parameters = state_.decoder.parameters();
  const auto device = parameters.flat().device();

  timer_.enter(Phase::kData);
  const auto on_device = pixels.to(device, /*non_blocking=*/true);
  const auto dtype = parameters.flat().scalar_type();
  EncoderInput input{.images = on_device.is_floating_point() ? on_device.to(dtype)
                                                             : to_values(on_device, dtype, device),
                     .mean_image = {},
                     .global_images = batch_norm_images(pixels.size(0)),
                     .origin = {}};
  if (state_.decoder.couples_images(Normalisation::kBatch))
    input.mean_image = batch_mean(on_device);
  if (config_.latent.origin_stddev > 0) {
    input.origin = random_origins(state_.decoder.latent_shape(), ids, config_.latent.origin_stddev,
                                  config_.run.seed, "origin", step, parameters.flat().options());
  }

  parameters.zero_gradient();
  statistics_.clear();
  StepResult result;
  if (config_.trainer.accumulate == 1) {
    result.sums = accumulate_gradient(input);
  } else {
    const auto parts = config_.trainer.accumulate;
    result.sums = torch::zeros({3}, input.images.options().dtype(torch::kFloat64));
    for (std::int64_t i = 0; i < parts; ++i) {
      const auto first = pixels.size(0) * i / parts;
      const auto count = pixels.size(0) * (i + 1) / parts - first;
      EncoderInput part = input;
      part.images = input.images.narrow(0, first, count);
      if (input.origin.defined()) part.origin = input.origin.narrow(0, first, count);
      result.sums += accumulate_gradient(part);
    }
  }

  if (communicator_.size() > 1) {
    timer_.enter(Phase::kWait);
    communicator_.barrier();
    timer_.enter(Phase::kAllReduce);
    result.bytes_reduced = reducer_.reduce(parameters.flat_gradient());
  }
  timer_.enter(Phase::kOptimizer);
  update(result, learning_rate);
  timer_.stop();
  return result;
}

}  // namespace gondola
