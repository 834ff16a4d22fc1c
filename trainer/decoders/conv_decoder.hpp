#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/activation.hpp"
#include "trainer/decoders/conv_plan.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// A stack of transposed convolutions, each but the last followed by batch norm and the activation,
/// a sigmoid at the end.
///
/// With batch norm a bias in front of it changes nothing but the running mean, so it is left out of
/// the pass and gets a gradient of exactly 0 (computed, it would be rounding noise that Adam blows
/// up to full steps). Parameters: dec.conv<i>.weight [in, out, k, k], dec.conv<i>.bias [out],
/// dec.bn<i>.weight, dec.bn<i>.bias [out].
class ConvDecoder final : public Decoder {
 public:
  /// @param communicator of the ranks that share a batch, used for synchronised statistics;
  /// nullptr: this rank alone.
  ConvDecoder(const ModelSection& model, const LatentSection& latent, std::vector<ConvLayer> plan,
              torch::ScalarType dtype, Precision precision, torch::Device device,
              std::uint64_t seed, Communicator* communicator);

  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] std::vector<std::int64_t> latent_shape() const override;
  [[nodiscard]] bool shares_origin(Normalisation normalisation) const override {
    return couples_images(normalisation);
  }
  [[nodiscard]] bool couples_images(Normalisation normalisation) const override;

  /// At z = 0 all images have the same activations, so batch statistics are one image's spatial
  /// statistics and the reverse pass splits: deviations from the batch mean see batch norm as a
  /// constant scaling, the mean sees the full backward pass of one image. Values come from one
  /// image computed on every rank alike: a constant channel gives exactly 0 on every rank, and an
  /// activation's kink falls the same way everywhere.
  [[nodiscard]] OriginGradient gradient_at_origin(const torch::Tensor& images,
                                                  const torch::Tensor& mean_image,
                                                  std::int64_t global_images,
                                                  const Pass& pass) override;
  [[nodiscard]] Parameters& parameters() override { return parameters_; }
  [[nodiscard]] std::vector<RunningAverages>& running_averages() override { return running_; }

  [[nodiscard]] const std::vector<ConvLayer>& plan() const { return plan_; }

 private:
  struct OriginLayer;
  struct OriginPass;

  [[nodiscard]] torch::Tensor weight(std::size_t layer) const;
  [[nodiscard]] torch::Tensor bias(std::size_t layer) const;
  [[nodiscard]] torch::Tensor gain(std::size_t layer) const;
  [[nodiscard]] torch::Tensor shift(std::size_t layer) const;
  [[nodiscard]] torch::Tensor up(const torch::Tensor& x, std::size_t layer,
                                 const torch::Tensor& bias) const;
  [[nodiscard]] torch::Tensor down(const torch::Tensor& gradient, std::size_t layer) const;
  [[nodiscard]] torch::Tensor normalise(const torch::Tensor& x, std::size_t layer, const Pass& pass,
                                        PassStatistics& statistics);
  [[nodiscard]] OriginPass run_at_origin(std::int64_t global_images, const Pass& pass);

  std::vector<ConvLayer> plan_;
  std::int64_t spatial_;
  BatchNormMode batch_norm_;
  Precision precision_;
  Activation activation_;
  Communicator* communicator_;
  Parameters parameters_;
  std::vector<RunningAverages> running_;
};

}  // namespace gondola
