#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/decoders/origin_map.hpp"
#include "trainer/decoders/siren_functions.hpp"
#include "trainer/decoders/siren_layers.hpp"
#include "trainer/decoders/siren_plain.hpp"

namespace gondola {

/// An implicit decoder (eq. 12): a multilayer perceptron from (row, column, z) to the C values of a
/// pixel, with activations f(w0 (W h + b)) and a linear last layer (SIREN where f = sin; w0 = 1 for
/// every other f).
///
/// The first layer is split, W0 [c, z] = Wc c + Wz z, so that its product costs N + B rows instead
/// of B N. Parameters: siren.layer<i>.weight [out, in], siren.layer<i>.bias [out].
///
/// Sines go through SirenFunctions, tile by tile, every other activation through SirenPlain. In
/// bfloat16 the former multiply what lies between hidden layers, but where a backward pass is
/// differentiated and in the OriginMap, and the latter all layers.
class SirenDecoder final : public Decoder {
 public:
  /// Declares its parameters, which the caller allocates before the first pass. Shapes: h =
  /// model.hidden, k = latent.size.
  SirenDecoder(const ModelSection& model, const LatentSection& latent, std::int64_t channels,
               std::int64_t height, std::int64_t width, Precision precision, torch::Device device,
               std::shared_ptr<Parameters> parameters);

  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  /// The squared error of each image over C, H, W, [B]: as that of decode(), cheaper where all
  /// images weigh the same in the loss, and in memory that depends on neither B nor N. images
  /// [B, C, H, W], values or u8 pixels: these go to gradient_at_origin() as well.
  [[nodiscard]] torch::Tensor squared_error(const torch::Tensor& latents,
                                            const torch::Tensor& images, const Pass& pass) override;
  [[nodiscard]] std::vector<std::int64_t> latent_shape() const override { return {latent_size_}; }
  [[nodiscard]] bool takes_bytes() const override { return fused_; }
  [[nodiscard]] bool couples_images(Normalisation) const override { return false; }
  [[nodiscard]] bool shares_origin(Normalisation) const override { return true; }
  /// With F0 = F(c, 0) and D = d F / d (first pre-activation), both of the coordinates alone:
  /// R = d loss / d F0 [B, N C], V = R D [B, h], d loss / d z = V Wz. Three products of N rows and
  /// C of them backwards, in place of 2 B N rows. Outside training, where weights stay, an
  /// OriginMap of the training grid that is not too large; without the loss then.
  [[nodiscard]] OriginGradient gradient_at_origin(const torch::Tensor& images,
                                                  const torch::Tensor& mean_image,
                                                  std::int64_t global_images,
                                                  const Pass& pass) override;

  [[nodiscard]] std::int64_t origin_sums(std::int64_t points,
                                         std::int64_t global_images) const override;

  /// Who multiplies matrices in a training step: ATen, in bfloat16 where the model is, unless
  /// another was set.
  [[nodiscard]] MatrixProduct product() const override { return functions_.work.product; }
  void set_product(MatrixProduct product) override { functions_.work.product = product; }
  /// Most rows of a tile; 0: by the device.
  void set_tile_rows(std::int64_t rows) { functions_.work.tile_rows = rows; }
  [[nodiscard]] std::int64_t tile_rows() const { return functions_.work.tile_rows; }

 private:
  [[nodiscard]] torch::Tensor weight(std::size_t layer) const {
    return parameters()[first_ + 2 * layer];
  }
  [[nodiscard]] torch::Tensor bias(std::size_t layer) const {
    return parameters()[first_ + 2 * layer + 1];
  }
  [[nodiscard]] SirenLayers layers() const;
  [[nodiscard]] const Coordinates& points_of(const Pass& pass) const {
    return pass.coordinates != nullptr ? *pass.coordinates : grid_;
  }
  void check(const torch::Tensor& latents) const;
  [[nodiscard]] OriginMap origin_map() const;

  std::int64_t latent_size_;
  std::int64_t channels_;
  std::size_t hidden_layers_;
  double w0_;
  bool fused_;  ///< Whether functions_ can be used; plain_ then makes the map of encoding alone.
  SirenPlain plain_;
  SirenFunctions functions_;
  std::size_t first_;  ///< Its first parameter.
  Coordinates grid_;
  OriginMapCache map_;
};

}  // namespace gondola
