#include "trainer/recorded_step.hpp"

#include <ATen/core/grad_mode.h>

#include <utility>

namespace gondola {
namespace {

constexpr std::int64_t kRehearsals = 3;

/// Copies a tensor to where the last one lies; the first one is given its place.
void take_tensor(torch::Tensor& place, const torch::Tensor& tensor, torch::Device device) {
  if (!tensor.defined()) return;
  if (!place.defined()) place = torch::empty(tensor.sizes(), tensor.options().device(device));
  TORCH_CHECK(place.sizes() == tensor.sizes() && place.scalar_type() == tensor.scalar_type(),
              "a recorded step takes ", place.sizes(), " ", place.scalar_type(), ", got ",
              tensor.sizes(), " ", tensor.scalar_type());
  place.copy_(tensor, /*non_blocking=*/true);
}

void take_points(Coordinates& place, const Coordinates& points, torch::Device device) {
  auto tensors = std::pair(place.points, place.index);
  place = points;
  place.points = std::move(tensors.first);
  place.index = std::move(tensors.second);
  take_tensor(place.points, points.points, device);
  take_tensor(place.index, points.index, device);
}

}  // namespace

void FixedNoise::draw(Noise noise) {
  drawn_ = std::move(noise);
  for (auto& [purpose, tensor] : kept_) tensor.copy_(drawn_(purpose), /*non_blocking=*/true);
}

Noise FixedNoise::noise() {
  return [this](std::string_view purpose) {
    auto found = kept_.find(purpose);
    if (found == kept_.end()) found = kept_.emplace(purpose, drawn_(purpose)).first;
    return found->second;
  };
}

RecordedStep::RecordedStep(const MakeDeviceGraph& make) : gradient_(make()), update_(make()) {}

RecordedStep::Inputs& RecordedStep::take(const StepInput& input, std::vector<Noise> noise,
                                         double learning_rate,
                                         const torch::TensorOptions& options) {
  const at::NoGradGuard no_grad;
  const auto device = options.device();
  auto& step = inputs_.step;
  take_tensor(step.view.pixels, input.view.pixels, device);
  take_tensor(step.view.target_pixels, input.view.target_pixels, device);
  take_points(step.view.coordinates.inner, input.view.coordinates.inner, device);
  take_points(step.view.coordinates.outer, input.view.coordinates.outer, device);
  take_tensor(step.labels, input.labels, device);
  inputs_.noise.resize(noise.size());
  for (std::size_t i = 0; i < noise.size(); ++i) inputs_.noise[i].draw(std::move(noise[i]));
  if (!inputs_.learning_rate.defined()) {
    inputs_.learning_rate = torch::empty({}, options.requires_grad(false));
    inputs_.gradient_norm = torch::empty_like(inputs_.learning_rate);
  }
  inputs_.learning_rate.fill_(learning_rate);
  return inputs_;
}

void RecordedStep::run(DeviceGraph& graph, const std::function<void()>& work) const {
  if (steps_ < kRehearsals) {
    graph.rehearse(work);
    return;
  }
  if (steps_ == kRehearsals) graph.record(work);
  graph.replay();
}

void RecordedStep::update(const std::function<void()>& work) {
  run(*update_, work);
  ++steps_;
}

StepResult RecordedStep::copy_of_result() const {
  const at::NoGradGuard no_grad;
  auto copy = inputs_.result;
  for (auto* tensor : {&copy.sums, &copy.gradient_norm, &copy.skipped, &copy.own_sum}) {
    *tensor = tensor->clone();
  }
  for (auto& [name, tensor] : copy.parts) tensor = tensor.clone();
  for (auto& tensor : copy.image_losses) tensor = tensor.clone();
  return copy;
}

}  // namespace gondola
