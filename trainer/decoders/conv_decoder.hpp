#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/conv_plan.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/decoders/origin_map.hpp"
#include "trainer/layers/activation.hpp"
#include "trainer/layers/batch_norm.hpp"
#include "trainer/layers/transposed_convolution.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// A stack of transposed convolutions, each but the last followed by batch norm and the activation,
/// a sigmoid at the end. Parameters: dec.conv<i>.weight [in, out, k, k], dec.conv<i>.bias [out],
/// dec.bn<i>.weight, dec.bn<i>.bias [out].
class ConvDecoder final : public Decoder {
 public:
  /// Declares its parameters, which the caller allocates before the first pass.
  /// @param communicator of the ranks that share a batch, used for synchronised statistics;
  /// nullptr: this rank alone.
  ConvDecoder(const ModelSection& model, const LatentSection& latent, std::vector<ConvLayer> plan,
              Precision precision, std::shared_ptr<Parameters> parameters,
              Communicator* communicator);

  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] std::vector<std::int64_t> latent_shape() const override;
  [[nodiscard]] bool shares_origin(Normalisation normalisation) const override {
    return couples_images(normalisation);
  }
  [[nodiscard]] bool couples_images(Normalisation normalisation) const override;

  /// At z = 0 all images have the same activations, so batch statistics are one image's spatial
  /// statistics and the reverse pass splits: deviations from the batch mean see batch norm as a
  /// constant scaling, the mean sees the full backward pass of one image. Deviations take either
  /// one reverse pass each or, where a latent has fewer values than the batch images, one tangent
  /// for each of these values and a product. Outside training, where weights stay, an OriginMap;
  /// without the loss then. Values come from one
  /// image computed on every rank alike: a constant channel gives exactly 0 on every rank, and an
  /// activation's kink falls the same way everywhere.
  [[nodiscard]] OriginGradient gradient_at_origin(const torch::Tensor& images,
                                                  const torch::Tensor& mean_image,
                                                  std::int64_t global_images,
                                                  const Pass& pass) override;
  [[nodiscard]] std::int64_t origin_sums(std::int64_t points,
                                         std::int64_t global_images) const override;
  [[nodiscard]] MatrixProduct product() const override { return product_; }
  void set_product(MatrixProduct product) override { product_ = product; }
  [[nodiscard]] const std::vector<ConvLayer>& plan() const { return plan_; }
  /// Of layer i; the tied autoencoder's encoder reads it as a convolution. [in, out, k, k]
  [[nodiscard]] const torch::Tensor& weight(std::size_t layer) const {
    return parameters()[convolutions_[layer]];
  }

 private:
  struct OriginLayer;
  struct OriginPass;

  [[nodiscard]] const torch::Tensor& bias(std::size_t layer) const {
    return parameters()[convolutions_[layer] + 1];
  }
  [[nodiscard]] torch::Tensor up(const torch::Tensor& x, std::size_t layer,
                                 const torch::Tensor& bias) const;
  [[nodiscard]] torch::Tensor down(const torch::Tensor& gradient, std::size_t layer) const;
  using Convolve = torch::Tensor(const torch::Tensor&, const torch::Tensor&,
                                 const ConvolutionOptions&);
  [[nodiscard]] torch::Tensor in_precision(const torch::Tensor& x, std::size_t layer,
                                           Convolve* convolve) const;
  /// Height and width of what a layer makes.
  [[nodiscard]] std::int64_t output_side(std::size_t layer) const;
  [[nodiscard]] OriginPass run_at_origin(std::int64_t global_images, const Pass& pass);
  [[nodiscard]] torch::Tensor scaling(const OriginLayer& layer) const;
  [[nodiscard]] torch::Tensor gradients_of_deviations(const OriginPass& origin,
                                                      torch::Tensor deviation) const;
  [[nodiscard]] torch::Tensor gradient_of_mean(const OriginPass& origin, torch::Tensor mean) const;
  [[nodiscard]] torch::Tensor jacobian(const OriginPass& origin,
                                       OverlappedReduction* reduction = nullptr) const;
  /// Whether gradient_at_origin() makes one tangent for each latent value.
  [[nodiscard]] bool takes_tangents(std::int64_t global_images) const;
  [[nodiscard]] OriginMap origin_map(const torch::Tensor& mean_image);

  std::vector<ConvLayer> plan_;
  std::int64_t spatial_;
  BatchNormMode batch_norm_;
  Precision precision_;
  Activation activation_;
  MatrixProduct product_;
  std::vector<std::size_t> convolutions_;  ///< First parameter of each: weight, then bias.
  OriginMapCache map_;
  std::vector<BatchNorm> norms_;  ///< Behind each but the last; empty without batch norm.
};

}  // namespace gondola
