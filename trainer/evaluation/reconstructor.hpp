#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// Encodes and decodes outside training, without any collective.
///
/// One step from z0 = 0 gives each image the same latent whatever batch it is in: without batch
/// norm by itself; with batch norm by using the training set's mean image at the origin and the
/// running averages of the outer pass for decoding. Other encodings under batch norm use the
/// statistics of the group they are given (see description()).
class Reconstructor {
 public:
  /// @param mean_image of the training set, [1, C, H, W]; needed with batch norm only.
  Reconstructor(const RunConfig& config, Decoder& decoder, Objective& objective,
                torch::Tensor mean_image);

  /// images [B, C, H, W] in [0, 1]; ids key the random origins, [B].
  [[nodiscard]] torch::Tensor encode(const torch::Tensor& images,
                                     std::span<const std::int64_t> ids) const;
  /// @param coordinates implicit models: where; nullptr: the training grid.
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents,
                                     const Coordinates* coordinates = nullptr) const;
  [[nodiscard]] Prediction reconstruct(const torch::Tensor& images,
                                       std::span<const std::int64_t> ids) const;
  /// Images of `count` draws from the family's prior, keyed by (seed, number). REQUIRES
  /// Objective::has_prior(). [count, C, H, W]
  [[nodiscard]] torch::Tensor sample_prior(std::int64_t count, std::uint64_t seed) const;

  /// Per-image values of a prediction by the family's own measures, [B] each. @param targets,
  /// labels as ObjectiveBatch has them.
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(
      const Prediction& prediction, const torch::Tensor& images, const torch::Tensor& targets,
      const torch::Tensor& labels, std::span<const std::int64_t> ids) const;

  /// How images are encoded, in words.
  [[nodiscard]] std::string description() const;
  /// Whether a latent depends on nothing but its own image.
  [[nodiscard]] bool independent() const { return independent_; }

 private:
  [[nodiscard]] ObjectiveBatch batch_of(const torch::Tensor& images,
                                        std::span<const std::int64_t> ids) const;
  [[nodiscard]] Pass decoding_pass() const;

  const RunConfig& config_;
  Decoder& decoder_;
  Objective& objective_;
  torch::Tensor mean_image_;
  bool coupled_;
  bool independent_;
};

}  // namespace gondola
