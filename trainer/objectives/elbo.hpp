#pragma once

#include <torch/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "trainer/decoders/decoder.hpp"
#include "trainer/latent/inner_loss.hpp"
#include "trainer/layers/linear_head.hpp"

namespace gondola {

/// One pass through a variational decoder, image by image.
struct ElboTerms {
  torch::Tensor cross_entropy;  ///< [B]: -log p(x | u) of Bernoulli pixels, summed over C, H, W.
  torch::Tensor divergence;     ///< [B]: KL(q(u) || N(0, I)).
  torch::Tensor loss;           ///< [B]: cross_entropy + weight * divergence, the negative ELBO.
};

/// The variational part of a decoder (eq. 9-10): mu and log-variance are linear maps of z, u = mu +
/// exp(log-variance / 2) epsilon is decoded. Parameters: mu.*, logvar.* [k, k] and [k].
class VariationalDecoder {
 public:
  /// Declares its heads. @param decoder of u; outlives this. @param emits_logits the decoder's
  /// values are squashed by a sigmoid first (implicit decoders are linear at the end).
  VariationalDecoder(const std::shared_ptr<Parameters>& parameters, Decoder& decoder,
                     bool emits_logits, double weight);

  /// Differentiable twice in z [B, k]. @param noise epsilon [B, k]; undefined: u = mu.
  [[nodiscard]] ElboTerms terms(const torch::Tensor& z, const torch::Tensor& noise,
                                const torch::Tensor& images, const Pass& pass) const;

  /// The image of mu(z), in [0, 1].
  [[nodiscard]] torch::Tensor mean_image(const torch::Tensor& z, const Pass& pass) const;
  /// The image of u itself, in [0, 1].
  [[nodiscard]] torch::Tensor image_of(const torch::Tensor& u, const Pass& pass) const;

  /// "loss", "cross_entropy", "divergence" and "bits_per_dimension" of a pass.
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(const ElboTerms& terms,
                                                             const torch::Tensor& images) const;

 private:
  [[nodiscard]] ElboTerms terms_of(const torch::Tensor& decoded, const torch::Tensor& mean,
                                   const torch::Tensor& log_variance, const torch::Tensor& images,
                                   const Pass& pass) const;

  Decoder& decoder_;
  LinearHead mean_;
  LinearHead log_variance_;
  bool emits_logits_;
  double weight_;
};

/// The inner loss of variational GONs: the negative ELBO at the origin, its reparameterisation
/// included.
class NegativeElbo final : public InnerLoss {
 public:
  /// All of it outlives this. @param noise [B, k]; undefined: none.
  NegativeElbo(const VariationalDecoder& decoder, const torch::Tensor& images,
               const torch::Tensor& noise, const Pass& pass)
      : decoder_(decoder), images_(images), noise_(noise), pass_(pass) {}

  [[nodiscard]] torch::Tensor per_image(const torch::Tensor& z) const override {
    return decoder_.terms(z, noise_, images_, pass_).loss;
  }
  /// None: each image has its own noise, and so its own pass through the origin.
  [[nodiscard]] std::optional<OriginGradient> at_origin() const override { return std::nullopt; }

 private:
  const VariationalDecoder& decoder_;
  const torch::Tensor& images_;
  const torch::Tensor& noise_;
  const Pass& pass_;
};

}  // namespace gondola
