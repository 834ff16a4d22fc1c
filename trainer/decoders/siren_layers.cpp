#include "trainer/decoders/siren_layers.hpp"

namespace gondola {

SirenLayers SirenLayers::of(const std::vector<torch::Tensor>& tensors) {
  TORCH_CHECK(tensors.size() >= 4 && tensors.size() % 2 == 0,
              "a sine network has a weight and a bias for each of two or more layers, got ",
              tensors.size(), " tensors");
  SirenLayers layers;
  for (std::size_t i = 0; i < tensors.size(); i += 2) {
    layers.weights.push_back(tensors[i].detach().contiguous());
    layers.biases.push_back(tensors[i + 1].detach().contiguous());
  }
  return layers;
}

SirenLayers SirenLayers::zeros() const {
  SirenLayers result;
  for (const auto& weight : weights) result.weights.push_back(torch::zeros_like(weight));
  for (const auto& bias : biases) result.biases.push_back(torch::zeros_like(bias));
  return result;
}

void SirenLayers::add(const SirenLayers& other) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i].add_(other.weights[i]);
    biases[i].add_(other.biases[i]);
  }
}

std::vector<torch::Tensor> SirenLayers::tensors() const {
  std::vector<torch::Tensor> result;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    result.push_back(weights[i]);
    result.push_back(biases[i]);
  }
  return result;
}

}  // namespace gondola
