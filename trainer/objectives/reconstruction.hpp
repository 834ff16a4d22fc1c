#pragma once

#include "trainer/objectives/gon_encoding.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// `gon` (eq. 8 and 12): images are reconstructed from their encoding. `translation` (3.5): the
/// encoding is of the images, what is reconstructed the batch's targets.
class Reconstruction final : public Objective {
 public:
  Reconstruction(GonEncoding encoding, Decoder& decoder, double scale)
      : encoding_(std::move(encoding)), decoder_(decoder), scale_(scale) {}

  [[nodiscard]] Losses losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) override;
  [[nodiscard]] bool takes_bytes() const override { return decoder_.takes_bytes(); }
  [[nodiscard]] bool splits_at_latents() const override { return encoding_.is_one_shared_step(); }
  [[nodiscard]] double scale() const override { return scale_; }
  [[nodiscard]] torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) override;
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass& pass) override;
  [[nodiscard]] std::string loss_in_words() const override { return "squared error per image"; }

 private:
  GonEncoding encoding_;
  Decoder& decoder_;
  double scale_;
};

}  // namespace gondola
