#pragma once

#include <torch/types.h>

#include "trainer/latent/inner_loss.hpp"

namespace gondola {

/// Squared error of the decoder's images (eq. 8 and 12), summed over everything but the batch and
/// times the weight of the coordinates.
class ReconstructionLoss final : public InnerLoss {
 public:
  /// @param images [B, C, H, W], or as values_at() takes them, values or u8 pixels. @param
  /// mean_image [1, C, H, W] of the batch, where its images are coupled. @param share_origin take
  /// the decoder's closed form where it has one. All of it outlives this.
  ReconstructionLoss(Decoder& decoder, const torch::Tensor& images, const torch::Tensor& mean_image,
                     std::int64_t global_images, const Pass& pass, bool share_origin);

  [[nodiscard]] torch::Tensor per_image(const torch::Tensor& z) const override;
  [[nodiscard]] std::optional<OriginGradient> at_origin() const override;
  [[nodiscard]] torch::Tensor over_parts(const torch::Tensor& gradient) const override;

 private:
  Decoder& decoder_;
  const torch::Tensor& images_;
  const torch::Tensor& mean_image_;
  std::int64_t global_images_;
  const Pass& pass_;
  bool share_origin_;
  mutable torch::Tensor target_;  ///< Values of the images at the pass's coordinates, once needed.
};

}  // namespace gondola
