#include "trainer/optimizer/flat_adam.hpp"

#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/types.h>

#include "tests/support/relative_error.hpp"

namespace gondola {
namespace {

torch::Tensor rate(double value) { return at::scalar_tensor(value, torch::kFloat64); }

TEST(FlatAdam, follows_libtorchs_adam) {
  const OptimizerSection config{
      .learning_rate = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6};
  auto flat = torch::randn({50}, torch::kFloat64);
  auto reference = flat.clone().requires_grad_(true);
  FlatAdam adam(config, 50, flat.options());
  torch::optim::Adam expected({reference},
                              torch::optim::AdamOptions(0.01).betas({0.8, 0.95}).eps(1e-6));
  for (int i = 0; i < 20; ++i) {
    auto gradient = torch::randn({50}, torch::kFloat64);
    reference.mutable_grad() = gradient.clone();
    expected.step();
    adam.step(flat, gradient, rate(0.01), torch::zeros({}, torch::kFloat32));
  }
  EXPECT_LE(relative_error(flat, reference), 1e-12);
}

TEST(FlatAdam, a_skipped_step_changes_nothing) {
  auto flat = torch::ones({8});
  FlatAdam adam({}, 8, flat.options());
  auto gradient = torch::ones({8});
  adam.step(flat, gradient, rate(0.1), torch::zeros({}));
  const auto weights = flat.clone();
  const auto moment = adam.first_moment().clone();
  auto broken = torch::full({8}, NAN);
  adam.step(flat, broken, rate(0.1), torch::ones({}));
  EXPECT_TRUE(flat.equal(weights));
  EXPECT_TRUE(adam.first_moment().equal(moment));
  EXPECT_EQ(adam.updates().item<float>(), 1);
}

}  // namespace
}  // namespace gondola
