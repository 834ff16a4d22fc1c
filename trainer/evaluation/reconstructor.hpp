#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/latent/latent_encoder.hpp"

namespace gondola {

/// Latents of some images and what they decode to.
struct Reconstruction {
  torch::Tensor latents;  ///< [B, k(, s, s)]
  torch::Tensor images;   ///< [B, C, H, W]
};

/// Encodes and decodes outside training, without any collective.
///
/// One step from z0 = 0 gives each image the same latent whatever batch it is in: without batch
/// norm by itself; with batch norm by using the training set's mean image at the origin and the
/// running averages of the outer pass for decoding. Other encodings under batch norm use the
/// statistics of the group they are given (see description()).
class Reconstructor {
 public:
  /// @param mean_image of the training set, [1, C, H, W]; needed with batch norm only.
  Reconstructor(const RunConfig& config, const ImageShape& shape, Decoder& decoder,
                torch::Tensor mean_image);

  /// images [B, C, H, W] in [0, 1]; ids key the random origins, [B].
  [[nodiscard]] torch::Tensor encode(const torch::Tensor& images,
                                     std::span<const std::int64_t> ids) const;
  /// @param coordinates implicit models: where; nullptr: the training grid.
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents,
                                     const Coordinates* coordinates = nullptr) const;
  [[nodiscard]] Reconstruction reconstruct(const torch::Tensor& images,
                                           std::span<const std::int64_t> ids) const;

  /// How images are encoded, in words.
  [[nodiscard]] std::string description() const;
  /// Whether a latent depends on nothing but its own image.
  [[nodiscard]] bool independent() const { return independent_; }

 private:
  const RunConfig& config_;
  Decoder& decoder_;
  torch::Tensor mean_image_;
  LatentEncoder encoder_;
  bool coupled_;
  bool independent_;
};

}  // namespace gondola
