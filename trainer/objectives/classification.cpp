#include "trainer/objectives/classification.hpp"

#include "trainer/objectives/squared_error.hpp"

namespace gondola {
namespace {

std::int64_t values_in_a_latent(const Decoder& decoder) {
  return c10::multiply_integers(decoder.latent_shape());
}

torch::Tensor hits(const torch::Tensor& logits, const torch::Tensor& labels) {
  return logits.detach().argmax(1).eq(labels).to(logits.dtype());
}

torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::None);
}

}  // namespace

Classification::Classification(const std::shared_ptr<Parameters>& parameters, GonEncoding encoding,
                               Decoder& decoder, std::int64_t classes, Decoding decoding,
                               double weight, double scale)
    : encoding_(std::move(encoding)),
      decoder_(decoder),
      head_(parameters, "head", values_in_a_latent(decoder), classes),
      decoding_(decoding),
      weight_(weight),
      scale_(scale) {}

Losses Classification::losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) {
  if (timer != nullptr) timer->enter(Phase::kInner);
  auto encoding = encoding_.encode(batch, LatentEncoder::Graph::kKeep, passes.inner);
  if (timer != nullptr) timer->enter(Phase::kOuter);
  const auto scores = logits(encoding.latents);
  const auto entropy = cross_entropy(scores, batch.labels);  // [B]
  Losses losses;
  losses.outer = entropy * weight_;
  losses.loss = entropy.detach();
  if (decoding_ == Decoding::kJoint) {
    const auto error = decoder_.squared_error(encoding.latents, batch.images, passes.outer);
    losses.outer = error + losses.outer;
    losses.loss = error.detach();
    losses.parts["cross_entropy"] = entropy.detach();
  }
  losses.parts["accuracy"] = hits(scores, batch.labels);
  losses.inner = encoding.inner_loss;
  losses.latents = encoding.latents;
  losses.encoded = encoding.encoded;
  return losses;
}

torch::Tensor Classification::encode(const ObjectiveBatch& batch, const Pass& pass) {
  return encoding_.encode(batch, LatentEncoder::Graph::kDrop, pass).latents;
}

torch::Tensor Classification::decode(const torch::Tensor& latents, const Pass& pass) {
  const at::NoGradGuard no_grad;
  return decoder_.decode(latents, pass);
}

std::map<std::string, torch::Tensor> Classification::measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass&) {
  const at::NoGradGuard no_grad;
  const auto scores = logits(prediction.latents);
  const auto entropy = cross_entropy(scores, batch.labels);
  const auto error = squared_error_per_image(prediction.images, batch.images);
  const bool joint = decoding_ == Decoding::kJoint;
  return {{"loss", joint ? error : entropy},
          {joint ? "cross_entropy" : "reconstruction_loss", joint ? entropy : error},
          {"accuracy", hits(scores, batch.labels)}};
}

std::string Classification::loss_in_words() const {
  return decoding_ == Decoding::kJoint ? "squared error per image" : "cross entropy per image";
}

}  // namespace gondola
