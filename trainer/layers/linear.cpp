#include "trainer/layers/linear.hpp"

namespace gondola {

torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     Precision precision) {
  if (precision != Precision::kBf16) return at::linear(x, weight, bias);
  const auto product =
      at::linear(x.to(torch::kBFloat16), weight.to(torch::kBFloat16)).to(x.dtype());
  return bias.defined() ? product + bias : product;
}

torch::ScalarType storage_dtype(Precision precision) {
  return precision == Precision::kFloat64 ? torch::kFloat64 : torch::kFloat32;
}

}  // namespace gondola
