#pragma once

#include <memory>

#include "trainer/encoders/conv_encoder.hpp"
#include "trainer/objectives/elbo.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// `vae`: the negative ELBO with an encoder network in front of the variational decoder that `vgon`
/// has.
class VariationalAutoencoder final : public Objective {
 public:
  VariationalAutoencoder(ConvEncoder encoder, VariationalDecoder variational, double scale)
      : encoder_(std::move(encoder)), variational_(std::move(variational)), scale_(scale) {}

  [[nodiscard]] Losses losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) override;
  [[nodiscard]] double scale() const override { return scale_; }
  [[nodiscard]] torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) override;
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] bool has_prior() const override { return true; }
  [[nodiscard]] torch::Tensor decode_prior(const torch::Tensor& normal, const Pass& pass) override;
  /// The ELBO by one draw of u for an image.
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass& pass) override;
  [[nodiscard]] bool encodes_at_origin() const override { return false; }
  [[nodiscard]] std::string loss_in_words() const override {
    return "negative ELBO, nats per image";
  }

 private:
  ConvEncoder encoder_;
  VariationalDecoder variational_;
  double scale_;
};

}  // namespace gondola
