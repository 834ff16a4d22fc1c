#pragma once

#include <ATen/core/grad_mode.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>

#include "trainer/decoders/decoder.hpp"
#include "trainer/kernels/matrix_product.hpp"
#include "trainer/parameters.hpp"

namespace gondola {

/// Whether a pass at the origin serves no training: nothing is differentiated, and the statistics
/// are not those of a training batch.
[[nodiscard]] inline bool encodes_only(const Pass& pass) {
  return !at::GradMode::is_enabled() && pass.normalisation != Normalisation::kBatch &&
         pass.record == nullptr;
}

/// Encoding at fixed weights: the gradient at z = 0 is affine in the image,
///
///     d loss_b / d z_b = M x_b + c,
///
/// so that a batch is encoded by one matrix product. V = C N values of an image, k of a latent.
struct OriginMap {
  torch::Tensor matrix;   ///< M [k, V]
  torch::Tensor offset;   ///< c [k]
  MatrixProduct product;  ///< As the decoder's was when the map was made.

  /// images [B, ...] of V values -> [B, k]. Goes block by block of a fixed number of images, the
  /// last one filled up: how a product is blocked, and so rounded, depends on its size, and a
  /// latent must not depend on its neighbours (C11).
  [[nodiscard]] torch::Tensor operator()(const torch::Tensor& images) const;
};

/// The map of a decoder, made again when the weights or the mean image have changed. Weights are
/// compared one by one, for what writes them (a fused optimiser, a collective) tells nobody.
class OriginMapCache {
 public:
  /// @param make called where there is no map for this state, returns an OriginMap.
  template <typename Make>
  [[nodiscard]] const OriginMap& get(Parameters& parameters, const torch::Tensor& mean_image,
                                     const Make& make) {
    const bool same =
        map_ && at::equal(parameters.flat(), weights_) && mean_image.is_same(mean_image_);
    if (!same) {
      map_ = make();
      weights_ = parameters.flat().detach().clone();
      mean_image_ = mean_image;
    }
    return *map_;
  }

 private:
  std::optional<OriginMap> map_;
  torch::Tensor weights_;
  torch::Tensor mean_image_;
};

}  // namespace gondola
