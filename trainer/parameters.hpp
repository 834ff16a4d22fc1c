#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gondola {

/// One trainable tensor before it exists: uniform in [center - bound, center + bound].
struct ParameterSpec {
  std::string name;
  std::vector<std::int64_t> shape;
  double bound = 0.0;
  double center = 0.0;
};

/// All trainable tensors of a model as views of one flat buffer, and their gradients as views of
/// another, so that the all-reduce, the optimiser, a hash and a checkpoint each see one tensor.
/// Backward passes accumulate in place.
class Parameters {
 public:
  /// Draws every tensor in float64 keyed by (seed, its name), then rounds to `dtype`: the same on
  /// all ranks.
  Parameters(const std::vector<ParameterSpec>& specs, torch::ScalarType dtype, torch::Device device,
             std::uint64_t seed);

  [[nodiscard]] std::size_t count() const { return tensors_.size(); }
  [[nodiscard]] const std::string& name(std::size_t i) const { return names_[i]; }
  /// A leaf that requires grad; its storage is a slice of flat().
  [[nodiscard]] const torch::Tensor& operator[](std::size_t i) const { return tensors_[i]; }
  [[nodiscard]] torch::Tensor gradient(std::size_t i) const { return tensors_[i].grad(); }

  [[nodiscard]] torch::Tensor& flat() { return flat_; }                    ///< [P]
  [[nodiscard]] torch::Tensor& flat_gradient() { return flat_gradient_; }  ///< [P]
  void zero_gradient();

  /// Another flat [P] buffer (Adam's moments, an average) cut like the parameters: tensor i of it.
  [[nodiscard]] torch::Tensor slice_of(const torch::Tensor& flat, std::size_t i) const;

 private:
  std::vector<std::string> names_;
  std::vector<std::int64_t> offsets_;
  std::vector<torch::Tensor> tensors_;
  torch::Tensor flat_;
  torch::Tensor flat_gradient_;
};

}  // namespace gondola
