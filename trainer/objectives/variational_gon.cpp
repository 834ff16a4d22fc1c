#include "trainer/objectives/variational_gon.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {

Losses VariationalGon::losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) {
  const auto draw = [&](const char* purpose) {
    return batch.noise ? batch.noise(purpose) : torch::Tensor();
  };
  if (timer != nullptr) timer->enter(Phase::kInner);
  const auto inner_noise = draw("inner");
  const NegativeElbo inner(variational_, batch.images, inner_noise, passes.inner);
  auto encoding = encoder_.encode(inner, zero_origin(decoder_, batch.images), /*is_zero=*/true,
                                  LatentEncoder::Graph::kKeep);
  if (timer != nullptr) timer->enter(Phase::kOuter);
  const auto terms =
      variational_.terms(encoding.latents, draw("outer"), batch.images, passes.outer);
  Losses losses;
  losses.outer = terms.loss;
  losses.loss = terms.loss.detach();
  losses.inner = encoding.inner_loss;
  losses.latents = encoding.latents;
  losses.parts = {{"cross_entropy", terms.cross_entropy.detach()},
                  {"divergence", terms.divergence.detach()}};
  return losses;
}

torch::Tensor VariationalGon::encode(const ObjectiveBatch& batch, const Pass& pass) {
  const auto noise = batch.noise ? batch.noise("inner") : torch::Tensor();
  const NegativeElbo inner(variational_, batch.images, noise, pass);
  return encoder_
      .encode(inner, zero_origin(decoder_, batch.images), /*is_zero=*/true,
              LatentEncoder::Graph::kDrop)
      .latents;
}

torch::Tensor VariationalGon::decode(const torch::Tensor& latents, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return variational_.mean_image(latents, pass);
}

torch::Tensor VariationalGon::decode_prior(const torch::Tensor& normal, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return variational_.image_of(normal, pass);
}

std::map<std::string, torch::Tensor> VariationalGon::measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass& pass) {
  const at::NoGradGuard no_grad;
  const auto noise = batch.noise ? batch.noise("outer") : torch::Tensor();
  auto values = variational_.measure(
      variational_.terms(prediction.latents, noise, batch.images, pass), batch.images);
  values["reconstruction_loss"] = squared_error_per_image(prediction.images, batch.images);
  return values;
}

}  // namespace gondola
