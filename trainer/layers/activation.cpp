#include "trainer/layers/activation.hpp"

namespace gondola {

torch::Tensor Activation::forward(const torch::Tensor& x) const {
  switch (kind_) {
    case ActivationKind::kSin:
      return at::sin(x);
    case ActivationKind::kRelu:
      return at::relu(x);
    case ActivationKind::kLeakyRelu:
      return at::leaky_relu(x, leaky_slope_);
    case ActivationKind::kTanh:
      return at::tanh(x);
    case ActivationKind::kElu:
      return at::elu(x);
    case ActivationKind::kSoftplus:
      return at::softplus(x);
    case ActivationKind::kSwish:
      return at::silu(x);
  }
  TORCH_CHECK(false, "unknown activation");
}

torch::Tensor Activation::backward(const torch::Tensor& gradient, const torch::Tensor& x) const {
  switch (kind_) {
    case ActivationKind::kSin:
      return gradient * at::cos(x);
    case ActivationKind::kRelu:
      return at::threshold_backward(gradient, x, 0);
    case ActivationKind::kLeakyRelu:
      return at::leaky_relu_backward(gradient, x, leaky_slope_, /*self_is_result=*/false);
    case ActivationKind::kTanh:
      return at::tanh_backward(gradient, at::tanh(x));
    case ActivationKind::kElu:
      return at::elu_backward(gradient, /*alpha=*/1, /*scale=*/1, /*input_scale=*/1,
                              /*is_result=*/false, x);
    case ActivationKind::kSoftplus:
      return at::softplus_backward(gradient, x, /*beta=*/1, /*threshold=*/20);
    case ActivationKind::kSwish: {  // at::silu_backward has no derivative
      const auto s = at::sigmoid(x);
      return gradient * (s * (1 + x * (1 - s)));
    }
  }
  TORCH_CHECK(false, "unknown activation");
}

}  // namespace gondola
