#include "trainer/objectives/reconstruction.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

const torch::Tensor& target_of(const ObjectiveBatch& batch) {
  return batch.targets.defined() ? batch.targets : batch.images;
}

}  // namespace

Losses Reconstruction::losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) {
  if (timer != nullptr) timer->enter(Phase::kInner);
  auto encoding = encoding_.encode(batch, LatentEncoder::Graph::kKeep, passes.inner);
  if (timer != nullptr) timer->enter(Phase::kOuter);
  Losses losses;
  losses.outer = decoder_.squared_error(encoding.latents, target_of(batch), passes.outer);
  losses.loss = losses.outer.detach();
  losses.inner = encoding.inner_loss;
  losses.latents = encoding.latents;
  losses.encoded = encoding.encoded;
  return losses;
}

torch::Tensor Reconstruction::encode(const ObjectiveBatch& batch, const Pass& pass) {
  return encoding_.encode(batch, LatentEncoder::Graph::kDrop, pass).latents;
}

torch::Tensor Reconstruction::decode(const torch::Tensor& latents, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return decoder_.decode(latents, pass);
}

std::map<std::string, torch::Tensor> Reconstruction::measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass&) {
  return {{"loss", squared_error_per_image(prediction.images, target_of(batch))}};
}

}  // namespace gondola
