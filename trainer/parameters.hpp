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

/// The running averages of one normalisation layer, not trained.
struct RunningAverages {
  std::string name;    ///< "dec.bn0"
  torch::Tensor mean;  ///< [channels]
  torch::Tensor variance;
};

/// The batch statistics that one normalisation layer saw in one pass.
struct LayerStatistics {
  std::size_t layer = 0;   ///< Its index in Parameters::running_averages().
  torch::Tensor mean;      ///< [channels], bias included.
  torch::Tensor variance;  ///< [channels], unbiased: divided by n - 1.
};
/// One pass: a LayerStatistics for each normalisation layer that it went through.
using PassStatistics = std::vector<LayerStatistics>;

/// All tensors of a model, shared by its parts. The trainable ones are views of one flat buffer,
/// their gradients of another, so that the all-reduce, the optimiser, a hash and a checkpoint each
/// see one tensor; backward passes accumulate in place. Beside them the running averages.
///
/// Parts declare what they need, then the tensors are allocated once.
class Parameters {
 public:
  /// @return the index of the first of them. REQUIRES that allocate() was not called yet.
  std::size_t declare(const std::vector<ParameterSpec>& specs);
  /// Running averages of one layer; mean 0, variance 1. @return their index. REQUIRES likewise.
  std::size_t declare_averages(const std::string& name, std::int64_t channels);
  /// Makes all tensors. Trainable ones are drawn in float64 keyed by (seed, name), then rounded to
  /// `dtype`: the same on all ranks.
  void allocate(torch::ScalarType dtype, torch::Device device, std::uint64_t seed);

  [[nodiscard]] std::size_t count() const { return specs_.size(); }
  [[nodiscard]] const std::string& name(std::size_t i) const { return specs_[i].name; }
  /// A leaf that requires grad; its storage is a slice of flat().
  [[nodiscard]] const torch::Tensor& operator[](std::size_t i) const { return tensors_[i]; }
  [[nodiscard]] torch::Tensor gradient(std::size_t i) const { return tensors_[i].grad(); }

  [[nodiscard]] torch::Tensor& flat() { return flat_; }                    ///< [P]
  [[nodiscard]] torch::Tensor& flat_gradient() { return flat_gradient_; }  ///< [P]
  void zero_gradient();

  /// Another flat [P] buffer (Adam's moments, an average) cut like the parameters: tensor i of it.
  [[nodiscard]] torch::Tensor slice_of(const torch::Tensor& flat, std::size_t i) const;

  /// Empty without batch norm.
  [[nodiscard]] std::vector<RunningAverages>& running_averages() { return averages_; }
  /// running <- 0.9 running + 0.1 statistics of one pass; nothing changes where `skip` (0-dim: 0 or
  /// 1; undefined: 0) is 1, whatever the statistics are.
  void update_running_averages(const PassStatistics& statistics, const torch::Tensor& skip = {});

 private:
  std::vector<ParameterSpec> specs_;
  std::vector<std::int64_t> channels_;  ///< Of each of averages_.
  std::vector<RunningAverages> averages_;
  std::vector<std::int64_t> offsets_;
  std::vector<torch::Tensor> tensors_;
  torch::Tensor flat_;
  torch::Tensor flat_gradient_;
};

}  // namespace gondola
