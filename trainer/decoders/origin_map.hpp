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
  torch::Tensor matrix;  ///< M [k, V]
  torch::Tensor offset;  ///< c [k]

  /// images [B, ...] of V values -> [B, k]. Goes block by block of a fixed number of images, the
  /// last one filled up: how a product is blocked, and so rounded, depends on its size, and a
  /// latent must not depend on its neighbours (C11).
  [[nodiscard]] torch::Tensor operator()(const torch::Tensor& images, MatrixProduct product) const;
};

/// The map of a decoder, made again when the weights or the mean image have changed.
class OriginMapCache {
 public:
  /// @param make called where there is no map for this state, returns an OriginMap.
  template <typename Make>
  [[nodiscard]] const OriginMap& get(Parameters& parameters, const torch::Tensor& mean_image,
                                     const Make& make) {
    const State now{static_cast<std::uint64_t>(parameters.flat()._version()),
                    mean_image.defined() ? mean_image.unsafeGetTensorImpl() : nullptr};
    if (!map_ || !(now == state_)) {
      map_ = make();
      state_ = now;
      mean_image_ = mean_image;
    }
    return *map_;
  }

 private:
  struct State {
    std::uint64_t weights = 0;
    const void* mean_image = nullptr;
    bool operator==(const State&) const = default;
  };
  std::optional<OriginMap> map_;
  State state_;
  torch::Tensor mean_image_;  ///< Kept, so that no other tensor takes its place in memory.
};

}  // namespace gondola
