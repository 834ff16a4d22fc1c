#include "trainer/objectives/elbo.hpp"

#include <cmath>

namespace gondola {
namespace {

/// -x log p - (1 - x) log(1 - p) of each value, logarithms of -100 at least. What is not a number
/// stays so, where libtorch's own throws: such a step is passed over as any other.
torch::Tensor cross_entropy(const torch::Tensor& p, const torch::Tensor& x) {
  return at::binary_cross_entropy(p.nan_to_num(0.5), x, {}, at::Reduction::None) + p * 0;
}

}  // namespace

VariationalDecoder::VariationalDecoder(const std::shared_ptr<Parameters>& parameters,
                                       Decoder& decoder, bool emits_logits, double weight)
    : decoder_(decoder),
      mean_(parameters, "mu", decoder.latent_shape().front(), decoder.latent_shape().front()),
      log_variance_(parameters, "logvar", decoder.latent_shape().front(),
                    decoder.latent_shape().front()),
      emits_logits_(emits_logits),
      weight_(weight) {}

ElboTerms VariationalDecoder::terms_of(const torch::Tensor& decoded, const torch::Tensor& mean,
                                       const torch::Tensor& log_variance,
                                       const torch::Tensor& images, const Pass& pass) const {
  const auto target = values_in(images, pass);
  const auto per_value = emits_logits_ ? at::binary_cross_entropy_with_logits(
                                             decoded, target, {}, {}, at::Reduction::None)
                                       : cross_entropy(decoded, target);
  ElboTerms terms;
  terms.cross_entropy = per_value.flatten(1).sum(1) * weight_in(pass);
  terms.divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1);
  terms.loss = terms.cross_entropy + weight_ * terms.divergence;
  return terms;
}

ElboTerms VariationalDecoder::terms(const torch::Tensor& z, const torch::Tensor& noise,
                                    const torch::Tensor& images, const Pass& pass) const {
  const auto mean = mean_.forward(z);
  const auto log_variance = log_variance_.forward(z);
  const auto u = noise.defined() ? mean + (log_variance / 2).exp() * noise : mean;
  return terms_of(decoder_.decode(u, pass), mean, log_variance, images, pass);
}

torch::Tensor VariationalDecoder::image_of(const torch::Tensor& u, const Pass& pass) const {
  const auto decoded = decoder_.decode(u, pass);
  return emits_logits_ ? decoded.sigmoid() : decoded;
}

torch::Tensor VariationalDecoder::mean_image(const torch::Tensor& z, const Pass& pass) const {
  return image_of(mean_.forward(z), pass);
}

std::map<std::string, torch::Tensor> VariationalDecoder::measure(
    const ElboTerms& terms, const torch::Tensor& images) const {
  const auto elbo = terms.cross_entropy + terms.divergence;
  const double values = static_cast<double>(images.size(1) * images.size(2) * images.size(3));
  return {{"loss", terms.loss},
          {"cross_entropy", terms.cross_entropy},
          {"divergence", terms.divergence},
          {"bits_per_dimension", elbo / (values * std::log(2.0))}};
}

}  // namespace gondola
