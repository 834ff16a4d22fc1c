#pragma once

#include <memory>
#include <utility>

#include "trainer/layers/linear_head.hpp"
#include "trainer/objectives/gon_encoding.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// `classifier` (eq. 13): cross entropy of one linear layer on the encoding; the decoder is run
/// once only, at the origin. `joint` (3.5): the reconstruction as well.
class Classification final : public Objective {
 public:
  enum class Decoding { kNone, kJoint };

  /// Declares head.weight [classes, k], head.bias. @param scale of the outer loss: 1/B for the
  /// cross entropy alone, the published one of the reconstruction for joint, whose cross entropy is
  /// multiplied with `weight` first.
  Classification(const std::shared_ptr<Parameters>& parameters, GonEncoding encoding,
                 Decoder& decoder, std::int64_t classes, Decoding decoding, double weight,
                 double scale);

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
  [[nodiscard]] std::string loss_in_words() const override;
  /// Latents [B, k] -> [B, classes].
  [[nodiscard]] torch::Tensor logits(const torch::Tensor& latents) const {
    return head_.forward(latents);
  }

 private:
  GonEncoding encoding_;
  Decoder& decoder_;
  LinearHead head_;
  Decoding decoding_;
  double weight_;
  double scale_;
};

}  // namespace gondola
