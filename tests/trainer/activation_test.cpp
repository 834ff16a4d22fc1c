#include "trainer/layers/activation.hpp"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "tests/support/relative_error.hpp"

namespace gondola {
namespace {

class EachActivation : public testing::TestWithParam<ActivationKind> {};

TEST_P(EachActivation, backward_is_the_derivative_that_autograd_takes) {
  const Activation activation(GetParam(), /*leaky_slope=*/0.2);
  const auto x = torch::linspace(-4, 4, 81, torch::kFloat64).requires_grad_(true);  // contains 0
  const auto gradient = torch::randn({81}, torch::kFloat64);
  const auto expected = torch::autograd::grad({activation.forward(x)}, {x}, {gradient})[0];
  EXPECT_LE(relative_error(activation.backward(gradient, x), expected), 1e-14);
}

TEST_P(EachActivation, second_derivative_is_the_one_of_double_backward_at_the_kink_too) {
  const Activation activation(GetParam());
  const auto ones = torch::ones({81}, torch::kFloat64);
  const auto x = torch::linspace(-4, 4, 81, torch::kFloat64).requires_grad_(true);
  const auto first = torch::autograd::grad({activation.forward(x)}, {x}, {ones},
                                           /*retain_graph=*/true, /*create_graph=*/true)[0];
  const auto ours = activation.backward(ones, x);
  if (!first.requires_grad()) GTEST_SKIP() << "piecewise linear: no second derivative to compare";
  const auto expected =
      torch::autograd::grad({first.sum()}, {x}, {}, true, false, /*allow_unused=*/true)[0];
  const auto actual =
      torch::autograd::grad({ours.sum()}, {x}, {}, true, false, /*allow_unused=*/true)[0];
  const auto zero = torch::zeros_like(x);
  const auto difference =
      (actual.defined() ? actual : zero) - (expected.defined() ? expected : zero);
  EXPECT_LE(difference.abs().max().item<double>(), 1e-13);
}

INSTANTIATE_TEST_SUITE_P(Activation, EachActivation,
                         testing::Values(ActivationKind::kSin, ActivationKind::kRelu,
                                         ActivationKind::kLeakyRelu, ActivationKind::kTanh,
                                         ActivationKind::kElu, ActivationKind::kSoftplus,
                                         ActivationKind::kSwish));

}  // namespace
}  // namespace gondola
