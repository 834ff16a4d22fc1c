#pragma once

#include <memory>

#include "trainer/latent/latent_encoder.hpp"
#include "trainer/objectives/elbo.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// `vgon` (eq. 9-10): the negative ELBO, inside at the origin and outside at the encoding, each
/// with its own noise. As in the published code the inner loss has the divergence of q at the
/// origin in place of the prior of z0.
class VariationalGon final : public Objective {
 public:
  VariationalGon(VariationalDecoder variational, const LatentSection& latent, double step_size,
                 Decoder& decoder, double scale)
      : variational_(std::move(variational)),
        encoder_(latent, step_size),
        decoder_(decoder),
        scale_(scale) {}

  [[nodiscard]] Losses losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) override;
  [[nodiscard]] double scale() const override { return scale_; }
  /// With noise at the origin, as in training: batch norm's statistics there are those of the
  /// noise, and without it latents come out many times too large.
  [[nodiscard]] torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) override;
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] bool has_prior() const override { return true; }
  [[nodiscard]] torch::Tensor decode_prior(const torch::Tensor& normal, const Pass& pass) override;
  /// The ELBO by one draw of u for an image.
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass& pass) override;
  [[nodiscard]] bool needs_a_batch_at_origin() const override { return true; }
  [[nodiscard]] std::string loss_in_words() const override {
    return "negative ELBO, nats per image";
  }

 private:
  VariationalDecoder variational_;
  LatentEncoder encoder_;
  Decoder& decoder_;
  double scale_;
};

}  // namespace gondola
