#pragma once

#include <torch/types.h>

#include <optional>

#include "trainer/decoders/decoder.hpp"

namespace gondola {

/// The inner loss of a batch as a function of its latents: what encoding descends.
class InnerLoss {
 public:
  virtual ~InnerLoss() = default;
  InnerLoss() = default;
  InnerLoss(const InnerLoss&) = delete;
  InnerLoss& operator=(const InnerLoss&) = delete;

  /// Of each image: z [B, k(, s, s)] -> [B], differentiable twice. Collective where decode() is.
  [[nodiscard]] virtual torch::Tensor per_image(const torch::Tensor& z) const = 0;

  /// Its gradient at z = 0 in closed form, differentiable once more in training; nothing where
  /// there is none.
  [[nodiscard]] virtual std::optional<OriginGradient> at_origin() const = 0;

  /// The gradient of the whole loss from that of this rank's part of it, where several ranks have
  /// parts of one image; collective there, and as differentiable as what it is given.
  [[nodiscard]] virtual torch::Tensor over_parts(const torch::Tensor& gradient) const {
    return gradient;
  }
};

}  // namespace gondola
