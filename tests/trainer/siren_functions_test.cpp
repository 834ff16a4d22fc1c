#include "trainer/decoders/siren_functions.hpp"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/siren_problem.hpp"

namespace gondola {
namespace {

using siren_problem::expect_equal;
using siren_problem::kLatent;
using siren_problem::Problem;

TEST(SirenFunctions, gradients_are_those_of_finite_differences) {
  const Problem problem({.channels = 2, .side = 5, .images = 3, .hidden = 12}, torch::kFloat64);
  const auto figures = problem.fast(Problem::Outer::kDecode);
  constexpr double kStep = 1e-6;
  for (std::size_t i = 0; i < problem.parameters().size(); ++i) {
    const auto& parameter = problem.parameters()[i];
    const auto direction =
        torch::randn(parameter.sizes(), at::detail::createCPUGenerator(i), torch::kFloat64);
    const auto shifted = [&](double by) {
      parameter.data().add_(direction, by);
      const auto loss = problem.fast(Problem::Outer::kDecode)[2].sum().item<double>();
      parameter.data().sub_(direction, by);
      return loss;
    };
    const auto slope = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
    const auto expected = (figures[3 + i] * direction).sum().item<double>();
    EXPECT_NEAR(slope, expected, 1e-5 * std::abs(expected) + 1e-6) << "parameter " << i;
  }
}

TEST(SirenFunctions, decode_can_be_differentiated_twice_as_several_latent_steps_do) {
  const Problem problem({.channels = 3, .side = 6, .images = 4}, torch::kFloat64);
  const auto error = [&](const torch::Tensor& z) {
    const auto values = problem.functions().decode(problem.layers(), problem.points(), z);
    return (values.transpose(1, 2) - problem.images()).square().sum({1, 2});
  };
  auto z = torch::zeros({4, kLatent}, torch::kFloat64).requires_grad_(true);
  torch::Tensor inner;
  for (int step = 0; step < 2; ++step) {
    const auto loss = error(z);
    if (step == 0) inner = loss;
    z = z - problem.step_size() * torch::autograd::grad({loss.sum()}, {z}, {}, true, true)[0];
  }
  expect_equal(problem.finish(z, inner, error(z)), problem.naive(2), 1e-10);
}

TEST(SirenFunctions, squared_error_can_be_differentiated_twice) {
  const Problem problem({.channels = 3, .side = 6, .images = 4}, torch::kFloat64);
  const auto error = [&](const torch::Tensor& z) {
    return problem.functions().squared_error(problem.layers(), problem.points(), z,
                                             problem.images());
  };
  auto z = torch::zeros({4, kLatent}, torch::kFloat64).requires_grad_(true);
  const auto loss = error(z);
  z = z - problem.step_size() * torch::autograd::grad({loss.sum()}, {z}, {}, true, true)[0];
  expect_equal(problem.finish(z, loss, error(z)), problem.naive(), 1e-10);
}

TEST(SirenFunctions, the_origin_can_be_differentiated_twice) {
  const Problem problem({.channels = 3, .side = 6, .images = 4}, torch::kFloat64);
  const auto second = [&](const torch::Tensor& gradient) {  // of a scalar of the weights' gradient
    const auto first = torch::autograd::grad({gradient.square().sum()}, problem.parameters(), {},
                                             true, /*create_graph=*/true, true);
    torch::Tensor sum = first[0].square().sum();
    for (std::size_t i = 1; i < first.size(); ++i) {
      if (first[i].defined()) sum = sum + first[i].square().sum();
    }
    return torch::autograd::grad({sum}, problem.parameters(), {}, false, false, true);
  };
  const auto z = torch::zeros({4, kLatent}, torch::kFloat64).requires_grad_(true);
  const auto loss = (problem.naive_decode(z) - problem.images()).square().sum();
  const auto expected = second(torch::autograd::grad({loss}, {z}, {}, true, true)[0]);
  const auto found =
      second(problem.functions()
                 .gradient_at_origin(problem.layers(), problem.points(), problem.images())
                 .gradient);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!expected[i].defined()) continue;
    EXPECT_LE(relative_error(found[i], expected[i]), 1e-9) << "parameter " << i;
  }
}

TEST(SirenFunctions, a_graph_is_kept_of_gradients_where_latents_depend_on_the_weights) {
  const Problem problem({.channels = 3, .side = 6, .images = 4}, torch::kFloat64);
  const auto expected = problem.naive();
  const auto layers = problem.layers();  // z depends on what decode() is given
  const auto z =
      -problem.step_size() *
      problem.functions().gradient_at_origin(layers, problem.points(), problem.images()).gradient;
  const auto values = problem.functions().decode(layers, problem.points(), z);
  const auto loss = (values.transpose(1, 2) - problem.images()).square().sum();
  const auto gradients = torch::autograd::grad({loss}, problem.parameters(), {}, true,
                                               /*create_graph=*/true);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    EXPECT_TRUE(gradients[i].requires_grad());
    EXPECT_LE(relative_error(gradients[i], expected[3 + i]), 1e-10) << "parameter " << i;
  }
}

TEST(SirenFunctions, images_may_weigh_differently_in_the_loss) {
  const Problem problem({.channels = 3, .images = 4}, torch::kFloat64);
  const auto weights = torch::tensor({1.0, 0.0, -2.0, 0.5}, torch::kFloat64);
  const auto latents =
      torch::randn({4, kLatent}, at::detail::createCPUGenerator(2), torch::kFloat64)
          .mul(0.1)
          .requires_grad_(true);
  const auto gradients = [&](const torch::Tensor& error) {
    auto inputs = problem.parameters();
    inputs.push_back(latents);
    return torch::autograd::grad({error.sum()}, inputs);
  };
  // The network's own weight comes on top, as coordinates that stand for others have one.
  constexpr double kOfPoints = 2.5;
  const auto expected = [&] {
    return kOfPoints * (problem.naive_decode(latents) - problem.images()).square().sum({1, 2});
  };
  const auto found = [&] {
    return problem.functions().squared_error(problem.layers(), problem.points(), latents,
                                             problem.images(), kOfPoints);
  };
  EXPECT_LE(relative_error(found(), expected()), 1e-10);
  expect_equal(gradients(weights * found()), gradients(weights * expected()), 1e-10);
  expect_equal(gradients(-3 * found()), gradients(-3 * expected()), 1e-10);
  expect_equal(gradients(found()), gradients(expected()), 1e-10);
}

TEST(SirenFunctions, the_latents_gradient_alone_is_that_of_the_whole_backward_pass) {
  const Problem problem({.channels = 3, .images = 4}, torch::kFloat64);
  const auto latents = torch::full({4, kLatent}, 0.1, torch::kFloat64).requires_grad_(true);
  const auto alone = torch::autograd::grad(
      {problem.functions().decode(problem.layers(), problem.points(), latents).square().sum()},
      {latents})[0];
  const auto expected =
      torch::autograd::grad({problem.naive_decode(latents).square().sum()}, {latents})[0];
  EXPECT_LE(relative_error(alone, expected), 1e-10);
}

TEST(SirenFunctions, no_image_gives_no_values_and_gradients_of_zero) {
  const Problem problem({.images = 0}, torch::kFloat64);
  for (const auto outer : {Problem::Outer::kDecode, Problem::Outer::kSquaredError}) {
    const auto figures = problem.fast(outer);
    EXPECT_EQ(figures[0].size(0), 0);
    for (std::size_t i = 3; i < figures.size(); ++i) {
      EXPECT_EQ(figures[i].abs().max().item<double>(), 0) << "parameter " << i - 3;
    }
  }
}

TEST(SirenFunctions, pixels_give_what_their_values_give) {
  const Problem problem({.channels = 3, .images = 4}, torch::kFloat64);
  const auto pixels = (problem.images() * 255).round().to(torch::kUInt8);
  const auto values = pixels.to(torch::kFloat64) / 255;
  const auto latents = torch::full({4, kLatent}, 0.1, torch::kFloat64);
  const auto figures = [&](const torch::Tensor& images) {
    const auto origin =
        problem.functions().gradient_at_origin(problem.layers(), problem.points(), images);
    return problem.finish(
        origin.gradient, origin.loss,
        problem.functions().squared_error(problem.layers(), problem.points(), latents, images) +
            origin.gradient.square().sum(1));
  };
  expect_equal(figures(pixels), figures(values), 1e-13);
}

/// A line of /proc/self/status in bytes.
std::int64_t status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return -1;
}

/// Contract C8: gradients over a grid of a million points in the memory of a tile.
TEST(SirenFunctions, memory_is_bounded_by_the_tile_and_not_by_the_image) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer keeps memory that was given back";
#endif
  const auto growth_of_step = [](std::int64_t side) {
    const Problem problem({.side = side, .images = 2, .hidden = 32, .depth = 3}, torch::kFloat32);
    const auto pixels = (problem.images() * 255).to(torch::kUInt8);
    const auto before = status_bytes("VmRSS");
    std::ofstream("/proc/self/clear_refs") << 5;  // VmHWM starts anew
    const auto origin =
        problem.functions().gradient_at_origin(problem.layers(), problem.points(), pixels);
    const auto loss = problem.functions().squared_error(
        problem.layers(), problem.points(), -problem.step_size() * origin.gradient, pixels);
    (void)torch::autograd::grad({loss.sum()}, problem.parameters());
    return status_bytes("VmHWM") - before;
  };
  (void)growth_of_step(128);  // warm up
  if (status_bytes("VmHWM") < 0) GTEST_SKIP() << "there is no /proc/self/status";
  const std::int64_t layer_bytes = 2LL * 1024 * 1024 * 32 * 4;  // of one activation of both images
  EXPECT_LE(growth_of_step(128), layer_bytes / 4);
  EXPECT_LE(growth_of_step(1024), layer_bytes / 4);
}

TEST(SirenFunctions, what_is_not_a_number_stays_so) {
  const Problem problem({}, torch::kFloat32);
  problem.images().data()[1][0][3] = NAN;
  const auto figures = problem.fast(Problem::Outer::kSquaredError);
  EXPECT_TRUE(figures[0][1].isnan().all().item<bool>());
  EXPECT_FALSE(figures[0][0].isnan().any().item<bool>());
  EXPECT_TRUE(figures[2].isnan()[1].item<bool>());
  EXPECT_TRUE(figures[3].isnan().any().item<bool>());
}

}  // namespace
}  // namespace gondola
