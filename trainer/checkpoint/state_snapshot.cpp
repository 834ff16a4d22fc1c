#include "trainer/checkpoint/state_snapshot.hpp"

#include <ATen/core/grad_mode.h>

#include <utility>

namespace gondola {
namespace {

torch::Tensor on_host(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.detach().to(torch::kCPU).contiguous() : torch::Tensor();
}

void copy_to(torch::Tensor& copy, const torch::Tensor& tensor) {
  if (!tensor.defined()) {
    copy.reset();
    return;
  }
  const at::NoGradGuard no_grad;
  if (!copy.defined() || copy.sizes() != tensor.sizes() || copy.dtype() != tensor.dtype()) {
    copy = torch::empty(tensor.sizes(), tensor.options().device(torch::kCPU).requires_grad(false));
  }
  copy.copy_(tensor);
}

}  // namespace

StateSnapshot view_of(const TrainingState& state, FamilyState family) {
  auto& parameters = state.decoder.parameters();
  StateSnapshot view{.layout = &parameters,
                     .weights = on_host(parameters.flat()),
                     .first_moment = on_host(state.optimizer.first_moment()),
                     .second_moment = on_host(state.optimizer.second_moment()),
                     .average = on_host(state.average),
                     .mean_image = on_host(state.mean_image),
                     .updates = state.optimizer.updates().item<double>(),
                     .progress = state.progress,
                     .family = std::move(family)};
  for (const auto& average : parameters.running_averages()) {
    view.running_averages.push_back({.name = average.name,
                                     .mean = on_host(average.mean),
                                     .variance = on_host(average.variance)});
  }
  return view;
}

void copy_state(const TrainingState& state, FamilyState family, StateSnapshot& snapshot) {
  auto& parameters = state.decoder.parameters();
  snapshot.layout = &parameters;
  copy_to(snapshot.weights, parameters.flat());
  copy_to(snapshot.first_moment, state.optimizer.first_moment());
  copy_to(snapshot.second_moment, state.optimizer.second_moment());
  copy_to(snapshot.average, state.average);
  copy_to(snapshot.mean_image, state.mean_image);
  snapshot.running_averages.resize(parameters.running_averages().size());
  for (std::size_t i = 0; i < snapshot.running_averages.size(); ++i) {
    const auto& average = parameters.running_averages()[i];
    auto& copy = snapshot.running_averages[i];
    copy.name = average.name;
    copy_to(copy.mean, average.mean);
    copy_to(copy.variance, average.variance);
  }
  snapshot.updates = state.optimizer.updates().item<double>();
  snapshot.progress = state.progress;
  snapshot.family = std::move(family);
}

}  // namespace gondola
