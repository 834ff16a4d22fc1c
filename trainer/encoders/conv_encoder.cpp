#include "trainer/encoders/conv_encoder.hpp"

#include <cmath>
#include <string>
#include <utility>

namespace gondola {

ConvEncoder::ConvEncoder(const ModelSection& model, const ConvDecoder& decoder, bool tied,
                         const std::shared_ptr<Parameters>& parameters, Communicator* communicator)
    : decoder_(decoder),
      tied_(tied),
      parameters_(parameters),
      activation_(model.activation, model.leaky_slope) {
  const auto& plan = decoder.plan();
  for (std::size_t j = 0; j < plan.size(); ++j) {
    const auto mirrored = plan.size() - 1 - j;
    const auto& shape = plan[mirrored];
    // PyTorch's default for a convolution.
    const double bound =
        1 / std::sqrt(static_cast<double>(shape.out * shape.kernel * shape.kernel));
    const auto name = "enc.conv" + std::to_string(j);
    const ParameterSpec bias{.name = name + ".bias", .shape = {shape.in}, .bound = bound};
    const auto first =
        tied ? parameters_->declare({bias})
             : parameters_->declare({{.name = name + ".weight",
                                      .shape = {shape.in, shape.out, shape.kernel, shape.kernel},
                                      .bound = bound},
                                     bias});
    layers_.push_back({.shape = shape, .decoder_layer = mirrored, .parameter = first});
    if (model.batch_norm != BatchNormMode::kNone && j + 1 < plan.size()) {
      norms_.emplace_back(parameters_, "enc.bn" + std::to_string(j), shape.in,
                          tied ? first : first + 1, sharing_ranks(model.batch_norm, communicator));
    }
  }
}

torch::Tensor ConvEncoder::forward(const torch::Tensor& images, const Pass& pass) const {
  PassStatistics statistics;
  auto x = images;
  for (std::size_t j = 0; j < layers_.size(); ++j) {
    const auto& layer = layers_[j];
    const auto& weight =
        tied_ ? decoder_.weight(layer.decoder_layer) : (*parameters_)[layer.parameter];
    const auto& bias = (*parameters_)[tied_ ? layer.parameter : layer.parameter + 1];
    const bool last = j + 1 == layers_.size();
    const bool normalised = !last && !norms_.empty();
    x = at::conv2d(x, weight, normalised ? torch::Tensor() : bias, layer.shape.stride,
                   layer.shape.padding);
    if (normalised) {
      x = norms_[j].forward(x, activation_, pass.normalisation, statistics);
    } else if (!last) {
      x = activation_.forward(x);
    }
  }
  if (!statistics.empty() && pass.record != nullptr) pass.record->push_back(std::move(statistics));
  auto shape = decoder_.latent_shape();
  shape.insert(shape.begin(), images.size(0));
  return x.reshape(shape);
}

}  // namespace gondola
