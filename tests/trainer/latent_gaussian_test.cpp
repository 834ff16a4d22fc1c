#include "trainer/latent/latent_gaussian.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/support/relative_error.hpp"

namespace gondola {
namespace {

TEST(LatentGaussian, draws_have_the_mean_and_covariance_of_what_it_was_fitted_to) {
  const auto generator = at::detail::createCPUGenerator(3);
  const auto mixing = torch::randn({4, 4}, generator, torch::kFloat64);
  const auto latents = torch::randn({500, 4}, generator, torch::kFloat64).matmul(mixing) + 2;
  const LatentGaussian fitted(latents);
  const auto drawn = fitted.draw(torch::randn({200000, 4}, generator, torch::kFloat64));
  EXPECT_LE(relative_error(drawn.mean(0), latents.mean(0)), 0.02);
  EXPECT_LE(relative_error(drawn.t().cov(), latents.t().cov()), 0.03);
}

TEST(LatentGaussian, latents_that_span_fewer_dimensions_are_drawn_from_all_the_same) {
  const auto line = torch::arange(6, torch::kFloat64).unsqueeze(1).expand({6, 3});
  const LatentGaussian fitted(line);
  const auto drawn = fitted.draw(torch::ones({1, 3}, torch::kFloat64));
  EXPECT_LE((drawn[0][0] - drawn[0][1]).abs().item<double>(), 1e-3);
  EXPECT_THROW(LatentGaussian(line.narrow(0, 0, 1)), c10::Error);
}

TEST(LatentGaussian, draws_keep_the_shape_of_latent_maps) {
  const auto latents = torch::randn({50, 2, 3, 3}, at::detail::createCPUGenerator(1));
  const auto drawn = LatentGaussian(latents).draw(torch::zeros({5, 2, 3, 3}));
  EXPECT_EQ(drawn.sizes().vec(), (std::vector<std::int64_t>{5, 2, 3, 3}));
  EXPECT_LE(relative_error(drawn[0], latents.mean(0)), 1e-6);
}

TEST(SphericalInterpolation, keeps_to_the_circle_and_meets_both_ends) {
  const auto a = torch::tensor({{3.0, 0.0}}, torch::kFloat64);
  const auto b = torch::tensor({{0.0, 3.0}}, torch::kFloat64);
  const auto between = [&](double t) {
    return spherical_interpolation(a, b, torch::tensor({t}, torch::kFloat64));
  };
  EXPECT_LE(relative_error(between(0), a), 1e-15);
  EXPECT_LE(relative_error(between(1), b), 1e-15);
  EXPECT_NEAR(between(1.0 / 3).norm().item<double>(), 3, 1e-12);
  EXPECT_NEAR(between(1.0 / 3)[0][1].item<double>(), 1.5, 1e-12) << "30 degrees";
}

TEST(SphericalInterpolation, of_one_direction_is_linear) {
  const auto a = torch::tensor({{1.0, 1.0}}, torch::kFloat64);
  const auto middle = spherical_interpolation(a, 3 * a, torch::tensor({0.5}, torch::kFloat64));
  EXPECT_LE(relative_error(middle, 2 * a), 1e-12);
}

TEST(LatentMoments, of_known_distributions) {
  const auto generator = at::detail::createCPUGenerator(5);
  const auto normal = torch::randn({400000, 1}, generator, torch::kFloat64);
  const auto exponential =
      -torch::empty({400000, 1}, torch::kFloat64).uniform_(0, 1, generator).log();
  const auto constant = torch::full({400000, 1}, 7.0, torch::kFloat64);
  const auto moments = moments_of(torch::cat({normal, exponential, constant}, 1));
  const auto near = [](const torch::Tensor& values, std::int64_t i, double expected, double error) {
    EXPECT_NEAR(values[i].item<double>(), expected, error) << i;
  };
  near(moments.skewness, 0, 0, 0.02);
  near(moments.kurtosis, 0, 0, 0.05);
  near(moments.skewness, 1, 2, 0.1);
  near(moments.kurtosis, 1, 6, 0.6);
  near(moments.mean, 2, 7, 0);
  near(moments.skewness, 2, 0, 0);
  near(moments.kurtosis, 2, 0, 0);
}

}  // namespace
}  // namespace gondola
