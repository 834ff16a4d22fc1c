#pragma once

#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "configs/run_config.hpp"
#include "trainer/layers/activation.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/parameters.hpp"

namespace gondola {

/// What batch norm normalises with.
enum class Normalisation {
  kBatch,    ///< The statistics of the batch (over all ranks when synchronised).
  kGroup,    ///< The statistics of the images at hand, on this rank alone.
  kRunning,  ///< The running averages, constants.
};

/// Batch norm behind a convolution. A bias in front of it changes nothing but the running mean, so
/// the convolution leaves it out and it gets a gradient of exactly 0 (computed, it would be
/// rounding noise that Adam blows up to full steps).
class BatchNorm {
 public:
  /// Declares gain (1) and shift (0) as NAME.weight and NAME.bias, and running averages called
  /// NAME.
  /// @param bias index of the convolution's bias. @param communicator of the ranks that share
  /// statistics under Normalisation::kBatch; nullptr: this rank alone.
  BatchNorm(std::shared_ptr<Parameters> parameters, const std::string& name, std::int64_t channels,
            std::size_t bias, Communicator* communicator);

  /// Collective under kBatch where ranks share statistics. x [B, C, H, W] -> the same shape, the
  /// activation behind the norm; batch statistics are appended to `statistics`.
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& x, const Activation& activation,
                                      Normalisation normalisation,
                                      PassStatistics& statistics) const;

  [[nodiscard]] const torch::Tensor& gain() const { return (*parameters_)[first_]; }       ///< [C]
  [[nodiscard]] const torch::Tensor& shift() const { return (*parameters_)[first_ + 1]; }  ///< [C]
  [[nodiscard]] const torch::Tensor& bias() const { return (*parameters_)[bias_]; }        ///< [C]
  /// Its index in Parameters::running_averages().
  [[nodiscard]] std::size_t index() const { return averages_; }

 private:
  std::shared_ptr<Parameters> parameters_;
  Communicator* communicator_;
  std::size_t bias_;
  std::size_t first_;
  std::size_t averages_;
};

/// The ranks that share statistics under a mode, or nullptr.
[[nodiscard]] inline Communicator* sharing_ranks(BatchNormMode mode, Communicator* communicator) {
  const bool shared =
      mode == BatchNormMode::kSync && communicator != nullptr && communicator->size() > 1;
  return shared ? communicator : nullptr;
}

/// [C] as [1, C, 1, 1].
[[nodiscard]] inline torch::Tensor per_channel(const torch::Tensor& x) {
  return x.view({1, -1, 1, 1});
}

}  // namespace gondola
