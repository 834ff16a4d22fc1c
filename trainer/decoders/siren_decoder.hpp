#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/activation.hpp"
#include "trainer/decoders/decoder.hpp"

namespace gondola {

/// An implicit decoder (eq. 12): a multilayer perceptron from (row, column, z) to the C values of a
/// pixel, with activations f(w0 (W h + b)) and a linear last layer (SIREN where f = sin; w0 = 1 for
/// every other f).
///
/// The first layer is split, W0 [c, z] = Wc c + Wz z, so that its product costs N + B rows instead
/// of B N. Parameters: siren.layer<i>.weight [out, in], siren.layer<i>.bias [out].
class SirenDecoder final : public Decoder {
 public:
  /// Shapes: h = model.hidden, k = latent.size. @param dtype of the parameters.
  SirenDecoder(const ModelSection& model, const LatentSection& latent, std::int64_t channels,
               std::int64_t height, std::int64_t width, torch::ScalarType dtype,
               Precision precision, torch::Device device, std::uint64_t seed);

  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] std::vector<std::int64_t> latent_shape() const override { return {latent_size_}; }
  [[nodiscard]] bool couples_images(Normalisation) const override { return false; }
  [[nodiscard]] bool shares_origin(Normalisation) const override { return true; }
  /// With F0 = F(c, 0) and D = d F / d (first pre-activation), both of the coordinates alone:
  /// R = d loss / d F0 [B, N C], V = R D [B, h], d loss / d z = V Wz. Three products of N rows and
  /// C of them backwards, in place of 2 B N rows.
  [[nodiscard]] OriginGradient gradient_at_origin(const torch::Tensor& images,
                                                  const torch::Tensor& mean_image,
                                                  std::int64_t global_images,
                                                  const Pass& pass) override;
  [[nodiscard]] Parameters& parameters() override { return parameters_; }
  [[nodiscard]] std::vector<RunningAverages>& running_averages() override { return none_; }

  [[nodiscard]] const Coordinates& grid() const { return grid_; }

 private:
  [[nodiscard]] torch::Tensor weight(std::size_t layer) const { return parameters_[2 * layer]; }
  [[nodiscard]] torch::Tensor bias(std::size_t layer) const { return parameters_[2 * layer + 1]; }

  std::int64_t latent_size_;
  std::int64_t channels_;
  std::size_t hidden_layers_;
  double w0_;
  Precision precision_;
  Activation activation_;
  Parameters parameters_;
  std::vector<RunningAverages> none_;
  Coordinates grid_;
};

}  // namespace gondola
