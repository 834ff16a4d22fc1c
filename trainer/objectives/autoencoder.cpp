#include "trainer/objectives/autoencoder.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {

Losses Autoencoder::losses(const ObjectiveBatch& batch, const Passes& passes, PhaseTimer* timer) {
  if (timer != nullptr) timer->enter(Phase::kInner);
  Losses losses;
  losses.latents = encoder_.forward(batch.images, passes.outer);
  if (timer != nullptr) timer->enter(Phase::kOuter);
  losses.outer =
      squared_error_per_image(decoder_.decode(losses.latents, passes.outer), batch.images);
  losses.loss = losses.outer.detach();
  return losses;
}

torch::Tensor Autoencoder::encode(const ObjectiveBatch& batch, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return encoder_.forward(batch.images, pass);
}

torch::Tensor Autoencoder::decode(const torch::Tensor& latents, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return decoder_.decode(latents, pass);
}

std::map<std::string, torch::Tensor> Autoencoder::measure(const Prediction& prediction,
                                                          const ObjectiveBatch& batch,
                                                          const Pass&) {
  return {{"loss", squared_error_per_image(prediction.images, batch.images)}};
}

}  // namespace gondola
