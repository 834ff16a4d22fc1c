#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "trainer/parameters.hpp"

namespace gondola {

/// One linear layer on whole latents: NAME.weight [out, in], NAME.bias [out], with PyTorch's
/// default initialisation.
class LinearHead {
 public:
  /// Declares its parameters, which the caller allocates before the first pass.
  LinearHead(std::shared_ptr<Parameters> parameters, const std::string& name, std::int64_t in,
             std::int64_t out);

  /// latents [B, ...] of `in` values each -> [B, out].
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& latents) const;

  [[nodiscard]] const torch::Tensor& weight() const { return (*parameters_)[first_]; }
  [[nodiscard]] const torch::Tensor& bias() const { return (*parameters_)[first_ + 1]; }

 private:
  std::shared_ptr<Parameters> parameters_;
  std::size_t first_;
};

}  // namespace gondola
