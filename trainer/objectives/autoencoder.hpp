#pragma once

#include <memory>

#include "trainer/encoders/conv_encoder.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// `autoencoder` and `tied_autoencoder`: squared error of the decoded output of an encoder network.
class Autoencoder final : public Objective {
 public:
  Autoencoder(ConvEncoder encoder, Decoder& decoder, double scale)
      : encoder_(std::move(encoder)), decoder_(decoder), scale_(scale) {}

  [[nodiscard]] Losses losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) override;
  [[nodiscard]] double scale() const override { return scale_; }
  [[nodiscard]] torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) override;
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass& pass) override;
  [[nodiscard]] bool encodes_at_origin() const override { return false; }
  [[nodiscard]] std::string loss_in_words() const override { return "squared error per image"; }

 private:
  ConvEncoder encoder_;
  Decoder& decoder_;
  double scale_;
};

}  // namespace gondola
