#include "trainer/layers/linear_head.hpp"

#include <cmath>
#include <utility>

namespace gondola {

LinearHead::LinearHead(std::shared_ptr<Parameters> parameters, const std::string& name,
                       std::int64_t in, std::int64_t out)
    : parameters_(std::move(parameters)) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  first_ = parameters_->declare({{.name = name + ".weight", .shape = {out, in}, .bound = bound},
                                 {.name = name + ".bias", .shape = {out}, .bound = bound}});
}

torch::Tensor LinearHead::forward(const torch::Tensor& latents) const {
  return at::linear(latents.flatten(1), weight(), bias());
}

}  // namespace gondola
