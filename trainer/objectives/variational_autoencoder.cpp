#include "trainer/objectives/variational_autoencoder.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

torch::Tensor noise_of(const ObjectiveBatch& batch) {
  return batch.noise ? batch.noise("outer") : torch::Tensor();
}

}  // namespace

Losses VariationalAutoencoder::losses(const ObjectiveBatch& batch, const Passes& passes,
                                      PhaseTimer* timer) {
  if (timer != nullptr) timer->enter(Phase::kInner);
  Losses losses;
  losses.latents = encoder_.forward(batch.images, passes.outer);
  if (timer != nullptr) timer->enter(Phase::kOuter);
  const auto terms =
      variational_.terms(losses.latents, noise_of(batch), batch.images, passes.outer);
  losses.outer = terms.loss;
  losses.loss = terms.loss.detach();
  losses.parts = {{"cross_entropy", terms.cross_entropy.detach()},
                  {"divergence", terms.divergence.detach()}};
  return losses;
}

torch::Tensor VariationalAutoencoder::encode(const ObjectiveBatch& batch, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return encoder_.forward(batch.images, pass);
}

torch::Tensor VariationalAutoencoder::decode(const torch::Tensor& latents, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return variational_.mean_image(latents, pass);
}

torch::Tensor VariationalAutoencoder::decode_prior(const torch::Tensor& normal, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return variational_.image_of(normal, pass);
}

std::map<std::string, torch::Tensor> VariationalAutoencoder::measure(const Prediction& prediction,
                                                                     const ObjectiveBatch& batch,
                                                                     const Pass& pass) {
  const at::NoGradGuard no_grad;
  auto values = variational_.measure(
      variational_.terms(prediction.latents, noise_of(batch), batch.images, pass), batch.images);
  values["reconstruction_loss"] = squared_error_per_image(prediction.images, batch.images);
  return values;
}

}  // namespace gondola
