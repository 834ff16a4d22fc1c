#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/conv_decoder.hpp"
#include "trainer/layers/activation.hpp"
#include "trainer/layers/batch_norm.hpp"

namespace gondola {

/// The encoder network of the baselines: a convolutional decoder mirrored, convolutions in place of
/// transposed ones, each but the last followed by batch norm and the activation. Parameters:
/// enc.conv<j>.weight [out, in, k, k], enc.conv<j>.bias, enc.bn<j>.weight, enc.bn<j>.bias.
class ConvEncoder {
 public:
  /// Declares its parameters, which the caller allocates before the first pass. @param decoder that
  /// is mirrored; outlives this. @param tied convolution j reads the weight of the decoder's layer
  /// L-1-j instead of one of its own; biases and normalisation are its own.
  ConvEncoder(const ModelSection& model, const ConvDecoder& decoder, bool tied,
              const std::shared_ptr<Parameters>& parameters, Communicator* communicator);

  /// images [B, C, H, W] -> latents [B, k(, s, s)]. Collective where batch norm is synchronised
  /// under Normalisation::kBatch.
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& images, const Pass& pass) const;

 private:
  struct Layer {
    ConvLayer shape;            ///< Of the decoder's layer that it mirrors.
    std::size_t decoder_layer;  ///< Which that is.
    std::size_t parameter;      ///< Its weight, or its bias where the weight is the decoder's.
  };

  const ConvDecoder& decoder_;
  bool tied_;
  std::shared_ptr<Parameters> parameters_;
  Activation activation_;
  std::vector<Layer> layers_;
  std::vector<BatchNorm> norms_;  ///< Behind each but the last; empty without batch norm.
};

}  // namespace gondola
