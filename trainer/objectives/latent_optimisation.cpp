#include "trainer/objectives/latent_optimisation.hpp"

#include <torch/autograd.h>

#include "trainer/latent/latent_encoder.hpp"
#include "trainer/objectives/squared_error.hpp"
#include "trainer/optimizer/flat_adam.hpp"

namespace gondola {

Losses LatentOptimisation::losses(const ObjectiveBatch& batch, const Passes& passes,
                                  PhaseTimer* timer) {
  TORCH_CHECK(table_ != nullptr, "a model without its table of latents is not trained");
  if (timer != nullptr) timer->enter(Phase::kInner);
  ids_ = batch.global_ids;
  first_ = batch.first;
  latents_ = table_->fetch(ids_).narrow(0, first_, batch.images.size(0)).clone();
  latents_.requires_grad_(true);
  if (timer != nullptr) timer->enter(Phase::kOuter);
  Losses losses;
  losses.outer = decoder_.squared_error(latents_, batch.images, passes.outer);
  losses.loss = losses.outer.detach();
  losses.latents = latents_;
  return losses;
}

void LatentOptimisation::update(const torch::Tensor& skip) {
  const at::NoGradGuard no_grad;
  auto shape = latents_.sizes().vec();
  const auto own = shape[0];
  shape[0] = static_cast<std::int64_t>(ids_.size());
  auto gradient = torch::zeros(shape, latents_.options().requires_grad(false));
  if (own > 0) gradient.narrow(0, first_, own).copy_(latents_.grad() * scale_);
  if (communicator_ != nullptr) communicator_->all_reduce_sum(gradient);
  table_->update(ids_, gradient, skip);
}

std::map<std::string, torch::Tensor> LatentOptimisation::gather_state() {
  return table_ ? table_->gather() : std::map<std::string, torch::Tensor>();
}

torch::Tensor LatentOptimisation::encode(const ObjectiveBatch& batch, const Pass& pass) {
  const auto target = values_in(batch.images, pass);
  auto latents = zero_origin(decoder_, batch.images);
  FlatAdam adam(optimizer_, latents.numel(), latents.options());
  const auto learning_rate = at::scalar_tensor(search_.learning_rate, torch::kFloat64);
  const auto never = torch::zeros({}, latents.options().dtype(torch::kFloat32));
  for (std::int64_t step = 0; step < search_.steps; ++step) {
    const at::AutoGradMode enable_grad(true);
    const auto z = latents.detach().requires_grad_(true);
    const auto loss = squared_error_per_image(decoder_.decode(z, pass), target).sum();
    auto gradient = torch::autograd::grad({loss}, {z})[0].flatten();
    auto flat = latents.view({-1});
    adam.step(flat, gradient, learning_rate, never);
  }
  return latents;
}

torch::Tensor LatentOptimisation::decode(const torch::Tensor& latents, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return decoder_.decode(latents, pass);
}

std::map<std::string, torch::Tensor> LatentOptimisation::measure(const Prediction& prediction,
                                                                 const ObjectiveBatch& batch,
                                                                 const Pass&) {
  return {{"loss", squared_error_per_image(prediction.images, batch.images)}};
}

}  // namespace gondola
