#include "trainer/evaluation/metrics.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace gondola {
namespace {

TEST(Metrics, psnr_of_a_uniform_error_is_its_closed_form) {
  const auto target = torch::full({2, 3, 8, 8}, 0.5, torch::kFloat64);
  const auto psnr = psnr_per_image(target + 0.1, target);
  EXPECT_NEAR(psnr[0].item<double>(), 20, 1e-9);  // -10 log10(0.01)
  EXPECT_EQ(psnr.numel(), 2);
}

TEST(Metrics, ssim_is_one_for_equal_images_and_the_luminance_term_for_constant_ones) {
  const auto image = torch::rand({2, 1, 20, 24}, torch::kFloat64);
  EXPECT_NEAR(ssim_per_image(image, image).min().item<double>(), 1, 1e-12);
  const auto a = torch::full({1, 1, 20, 20}, 0.2, torch::kFloat64);
  const auto b = torch::full({1, 1, 20, 20}, 0.8, torch::kFloat64);
  const double expected = (2 * 0.2 * 0.8 + 1e-4) / (0.04 + 0.64 + 1e-4);
  EXPECT_NEAR(ssim_per_image(a, b).item<double>(), expected, 1e-9);
}

TEST(Metrics, ssim_falls_with_noise_and_copes_with_small_images) {
  torch::manual_seed(1);
  const auto image = torch::rand({1, 3, 8, 9}, torch::kFloat64);
  const auto little = ssim_per_image(image + 0.02 * torch::randn_like(image), image).item<double>();
  const auto much = ssim_per_image(image + 0.5 * torch::randn_like(image), image).item<double>();
  EXPECT_GT(little, 0.95);
  EXPECT_LT(much, little);
}

}  // namespace
}  // namespace gondola
