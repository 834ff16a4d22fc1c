#pragma once

#include <torch/types.h>

#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/siren_layers.hpp"
#include "trainer/layers/activation.hpp"

namespace gondola {

class OverlappedReduction;

/// The passes of an implicit network in ATen operators, on any device and for any activation f in
/// place of the sine; differentiable any number of times. Letters and layers as in SirenLayers,
/// here with their graphs.
class SirenPlain {
 public:
  SirenPlain(Activation activation, Precision precision)
      : activation_(activation), precision_(precision) {}

  /// points [N, 2], latents [B, k] -> F [B, N, C].
  [[nodiscard]] torch::Tensor decode(const SirenLayers& layers, const torch::Tensor& points,
                                     const torch::Tensor& latents) const;

  /// The pass that all images share at z = 0.
  struct OriginPass {
    torch::Tensor values;  ///< F0 [N, C]
    torch::Tensor slope;   ///< d F / d a_0 [C, N, h]
  };
  /// @param reduction told how far its backward pass is; nullptr: none.
  [[nodiscard]] OriginPass pass_at_origin(const SirenLayers& layers, const torch::Tensor& points,
                                          OverlappedReduction* reduction = nullptr) const;

  struct Origin {
    torch::Tensor gradient;  ///< [B, k]
    torch::Tensor loss;      ///< [B], detached.
  };
  /// What SirenOrigin::run() gives. target [B, C, N]; the sums over the pixels are taken in
  /// `sum_dtype`. @param reduction as Pass has it.
  [[nodiscard]] Origin gradient_at_origin(const SirenLayers& layers, const torch::Tensor& points,
                                          const torch::Tensor& target, torch::ScalarType sum_dtype,
                                          OverlappedReduction* reduction = nullptr) const;

 private:
  Activation activation_;
  Precision precision_;
};

}  // namespace gondola
