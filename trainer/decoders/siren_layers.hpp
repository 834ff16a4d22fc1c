#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace gondola {

/// The tensors of a sine network with w0 multiplied into the hidden ones: a_0 = Wc c + Wz z + b_0,
/// a_l = W_l sin(a_{l-1}) + b_l, F = W_L sin(a_{L-1}) + b_L. Or their gradients.
///
/// Letters: B images, N coordinates, C channels, L sine layers of h units, latents of k.
struct SirenLayers {
  std::vector<torch::Tensor> weights;  ///< L + 1: [h, 2 + k] (Wc and Wz), [h, h] ..., [C, h].
  std::vector<torch::Tensor> biases;   ///< L + 1: [h] ..., [C].

  /// From weight 0, bias 0, weight 1, ...
  [[nodiscard]] static SirenLayers of(const std::vector<torch::Tensor>& tensors);
  /// Of the same shapes.
  [[nodiscard]] SirenLayers zeros() const;
  void add(const SirenLayers& other);
  /// weight 0, bias 0, weight 1, ...
  [[nodiscard]] std::vector<torch::Tensor> tensors() const;

  [[nodiscard]] std::size_t depth() const { return biases.size() - 1; }                 ///< L
  [[nodiscard]] std::int64_t width() const { return biases.front().size(0); }           ///< h
  [[nodiscard]] std::int64_t channels() const { return biases.back().size(0); }         ///< C
  [[nodiscard]] torch::Tensor of_points() const { return weights[0].narrow(1, 0, 2); }  ///< Wc
  [[nodiscard]] torch::Tensor of_latents() const {                                      ///< Wz
    return weights[0].narrow(1, 2, weights[0].size(1) - 2);
  }
};

}  // namespace gondola
