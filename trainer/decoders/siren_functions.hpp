#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/decoders/siren_layers.hpp"
#include "trainer/decoders/siren_work.hpp"

namespace gondola {

class OverlappedReduction;

/// Bytes of activations that a differentiable pass keeps; one that has more makes them again in its
/// backward pass, at a third more of its cost.
inline constexpr std::int64_t kActivationBytes = std::int64_t{512} << 20;

/// Passes of a sine network as autograd sees them: SirenTiles and SirenOrigin, their
/// backward passes written by hand. Where autograd keeps a graph of a backward pass
/// (create_graph), that pass is made again in plain operators (SirenPlain), so that they can be
/// differentiated any number of times, at the plain cost. Layers come with their graphs; letters as
/// in SirenLayers.
struct SirenFunctions {
  SirenWork work;
  std::int64_t activation_bytes = kActivationBytes;

  /// points [N, 2], latents [B, k] -> F [B, N, C].
  [[nodiscard]] torch::Tensor decode(const SirenLayers& layers, const torch::Tensor& points,
                                     const torch::Tensor& latents) const;

  /// The squared error of each image summed over N and C, times weight: [B]; target [B, C, N],
  /// values or u8 pixels. Finds the gradients of its sum with it, tile by tile, so that memory
  /// depends on neither B nor N: cheaper than decode() where the images have one weight in the
  /// loss, and dearer (6 units of cost against 3) where they have not.
  [[nodiscard]] torch::Tensor squared_error(const SirenLayers& layers, const torch::Tensor& points,
                                            const torch::Tensor& latents,
                                            const torch::Tensor& target, double weight = 1) const;

  struct Origin {
    torch::Tensor gradient;  ///< [B, k], differentiable in the layers.
    torch::Tensor loss;      ///< [B], detached.
  };
  /// SirenOrigin::run(). @param reduction as Pass has it.
  [[nodiscard]] Origin gradient_at_origin(const SirenLayers& layers, const torch::Tensor& points,
                                          const torch::Tensor& target,
                                          OverlappedReduction* reduction = nullptr) const;
};

}  // namespace gondola
