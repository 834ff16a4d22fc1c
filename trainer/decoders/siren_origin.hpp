#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "trainer/decoders/siren_layers.hpp"
#include "trainer/decoders/siren_work.hpp"

namespace gondola {

/// The gradient of every image's squared error at z = 0, and its backward pass, in closed form and
/// without autograd. With F0 = F(c, 0) and D = d F / d a_0, of the coordinates alone:
///
///     R = 2 (F0 - x) [B, C N],   V = R D [B, h],   g = V Wz [B, k].
///
/// Backward, given G = d L / d g, the batch comes in through two sums, of J = D Wz and of F0:
/// J' = R^T G [C N, k] and s = sum_b G_b [k]. From them dWz = D^T J', D' = J' Wz^T, F0' = 2 D Wz s,
/// and one pass back through N coordinates' forward and backward pass, instead of B N.
/// Coordinates are taken in chunks, on a CPU spread over ATen's threads. Letters as in SirenLayers.
class SirenOrigin {
 public:
  /// The forward and the backward pass of some coordinates.
  struct Pass {
    std::vector<torch::Tensor> sines;    ///< L of [n, h]
    std::vector<torch::Tensor> cosines;  ///< L of [n, h]
    torch::Tensor values;                ///< F0 [n, C]
    std::vector<torch::Tensor> above;    ///< d F / d sin a_l but the last one's: L - 1 of [C, n, h]
    std::vector<torch::Tensor> slopes;   ///< d F / d a_l: L of [C, n, h]

    [[nodiscard]] std::vector<torch::Tensor> tensors() const;
    [[nodiscard]] static Pass of(std::size_t depth, const std::vector<torch::Tensor>& tensors);
  };

  /// points [N, 2], float32 or float64.
  SirenOrigin(SirenLayers layers, torch::Tensor points, const SirenWork& work);

  [[nodiscard]] std::size_t chunks() const { return static_cast<std::size_t>(chunks_); }
  /// Of all chunks' passes.
  [[nodiscard]] std::int64_t pass_bytes() const;

  struct Result {
    torch::Tensor gradient;    ///< g [B, k]
    torch::Tensor loss;        ///< [B]
    torch::Tensor values;      ///< F0 [N, C]
    std::vector<Pass> passes;  ///< One for each chunk, when they are to be kept.
  };
  enum class Keep { kNothing, kPasses };
  /// The sums over the pixels are taken in float64: how a float32 product is blocked, and so
  /// rounded, depends on how many images it has, and a latent must not (C11).
  /// @param target [B, C, N], values or u8 pixels, of any strides.
  [[nodiscard]] Result run(const torch::Tensor& target, Keep keep) const;

  /// What a batch comes to in the backward pass.
  struct Sums {
    torch::Tensor of_jacobian;   ///< J' [C, N, k]
    torch::Tensor of_gradients;  ///< s [k]
  };
  /// @param values F0 of run(). @param gradient G [B, k].
  [[nodiscard]] Sums sums(const torch::Tensor& target, const torch::Tensor& values,
                          const torch::Tensor& gradient) const;

  /// The gradients of the layers. @param passes of run(); empty: made again. @param between called
  /// now and then, by any thread.
  [[nodiscard]] SirenLayers backward(const Sums& sums, const std::vector<Pass>& passes,
                                     const std::function<void()>& between) const;
  /// The same from the batch itself, in memory that does not grow with N k.
  [[nodiscard]] SirenLayers backward(const torch::Tensor& target, const torch::Tensor& values,
                                     const torch::Tensor& gradient,
                                     const std::vector<Pass>& passes) const;

 private:
  struct Chunk;

  [[nodiscard]] Chunk chunk(std::int64_t i) const;
  [[nodiscard]] Pass pass(const Chunk& chunk) const;
  [[nodiscard]] torch::Tensor product(const torch::Tensor& x, const torch::Tensor& weight) const;
  /// Of a chunk: J' [C n, k].
  [[nodiscard]] torch::Tensor of_jacobian(const Chunk& chunk, const torch::Tensor& target,
                                          const torch::Tensor& values,
                                          const torch::Tensor& gradient) const;
  /// @param of_jacobian called with a Chunk.
  template <typename OfJacobian>
  [[nodiscard]] SirenLayers backward_from(const OfJacobian& of_jacobian,
                                          const torch::Tensor& of_gradients,
                                          const std::vector<Pass>& passes,
                                          const std::function<void()>& between) const;
  void backward(const Chunk& chunk, const Pass& pass, torch::Tensor of_slopes,
                const torch::Tensor& of_values, const std::function<void()>& between,
                SirenLayers& sum) const;

  SirenLayers layers_;
  std::vector<torch::Tensor> transposed_;  ///< W_l^T of the layers 1 ... L - 1, contiguous.
  torch::Tensor points_;
  MatrixProduct product_;
  std::int64_t tasks_;
  std::int64_t chunk_points_;
  std::int64_t chunks_;
};

}  // namespace gondola
