#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "trainer/decoders/siren_layers.hpp"
#include "trainer/decoders/siren_work.hpp"
#include "trainer/kernels/sine_operations.hpp"

namespace gondola {

/// Passes of a sine network over all images and coordinates, cut into tiles: some images at all
/// coordinates, or one image at some. On a CPU tiles are spread over ATen's threads, on a GPU
/// larger ones follow each other on the current stream. No autograd.
///
/// The first layer's sines come by angle addition, sin(p_n + q_b), from tables of the coordinates'
/// p = Wc c + b_0 and the images' q = Wz z: B N sines are replaced by N + B.
/// Letters as in SirenLayers.
class SirenTiles {
 public:
  /// points [N, 2], latents [B, k], all of one dtype, float32 or float64. B may be 0.
  SirenTiles(SirenLayers layers, torch::Tensor points, torch::Tensor latents,
             const SirenWork& work);

  /// The sines and cosines of layers 1 ... L - 1 over all tiles, kept for a backward pass.
  struct Activations {
    std::vector<torch::Tensor> sines;    ///< L - 1 of [B N, h]; empty: nothing is kept.
    std::vector<torch::Tensor> cosines;  ///< Likewise.
  };
  [[nodiscard]] Activations allocate_activations() const;

  /// F [B, N, C]; fills `kept` unless it is empty.
  [[nodiscard]] torch::Tensor forward(const Activations& kept) const;

  /// What a backward pass gives.
  struct Gradients {
    SirenLayers layers;
    torch::Tensor latents;  ///< [B, k]
  };
  enum class Wanted {
    kLatents,  ///< The latents' gradient alone, at half the cost; layers are zeros.
    kAll,
  };
  /// @param gradient of a loss by F, [B, N, C]. @param kept by forward(); empty: made again, tile
  /// by tile.
  [[nodiscard]] Gradients backward(const torch::Tensor& gradient, const Activations& kept,
                                   Wanted wanted) const;

  /// What squared_error() gives.
  struct SquaredError {
    torch::Tensor per_image;  ///< [B]
    Gradients gradients;      ///< Of the sum over the images.
  };
  /// The squared error of each image summed over N and C, and the gradients of their sum, in one
  /// pass over the tiles: neither F nor activations are kept, so that memory depends on neither B
  /// nor N. @param target [B, C, N], values or u8 pixels, of any strides.
  [[nodiscard]] SquaredError squared_error(const torch::Tensor& target) const;

 private:
  class Worker;
  struct Tile;
  struct Partial;

  [[nodiscard]] std::int64_t tile_count() const;
  [[nodiscard]] Tile tile(std::int64_t i) const;
  template <typename F>
  void for_each_tile(const Activations& kept, const F& visit) const;
  template <typename F>
  [[nodiscard]] Gradients sum_over_tiles(const Activations& kept, const F& visit) const;

  SirenLayers layers_;
  std::vector<torch::Tensor> transposed_;  ///< W_l^T of the hidden layers 1 ... L - 1, contiguous.
  torch::Tensor points_;
  torch::Tensor latents_;
  SineTable of_latents_;  ///< Of q, [B, h].
  MatrixProduct product_;
  const SineOperations& operations_;
  std::int64_t tasks_;  ///< Ranges of tiles, one for each thread.
  std::int64_t tile_images_;
  std::int64_t tile_points_;
};

}  // namespace gondola
