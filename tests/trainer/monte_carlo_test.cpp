// C9: Monte Carlo coordinates. Every sampler's inner gradient has the full grid's as its mean, its
// spread is what the metric says, and its draws are a function of the key alone.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "configs/strata.hpp"
#include "configs/value_text.hpp"
#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "tests/trainer/trainee.hpp"
#include "trainer/coordinates/coordinate_draws.hpp"
#include "trainer/decoders/decoder.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kHeight = 12, kWidth = 20;

CoordinateSet set_of(const std::string& text) {
  CoordinateSet set;
  EXPECT_TRUE(from_text(text, set)) << text;
  return set;
}

class Samplers : public testing::TestWithParam<const char*> {
 protected:
  CoordinateSet set = set_of(GetParam());
  PixelSampler sampler{set, kHeight, kWidth, /*seed=*/3, "test"};
};

TEST_P(Samplers, draws_are_a_function_of_the_key) {
  const auto first = sampler.draw({.batch = 7});
  EXPECT_EQ(first, PixelSampler(set, kHeight, kWidth, 3, "test").draw({.batch = 7}));
  EXPECT_NE(first, sampler.draw({.batch = 8}));
  EXPECT_NE(first, sampler.draw({.batch = 7, .repeat = 1}));
  EXPECT_NE(first, PixelSampler(set, kHeight, kWidth, 4, "test").draw({.batch = 7}));
  EXPECT_NE(first, PixelSampler(set, kHeight, kWidth, 3, "other").draw({.batch = 7}));
}

TEST_P(Samplers, draws_lie_in_the_image) {
  for (std::int64_t batch = 0; batch < 200; ++batch) {
    const auto pixels = sampler.draw({.batch = batch});
    ASSERT_EQ(static_cast<std::int64_t>(pixels.size()), set.count);
    const auto [low, high] = std::minmax_element(pixels.begin(), pixels.end());
    EXPECT_GE(*low, 0);
    EXPECT_LT(*high, kHeight * kWidth);
  }
}

/// The statistic of "the mean of these vectors is `expected`": n d' S^-1 d, about chi-square with
/// as many degrees of freedom as they have values. draws [n, 32].
double chi_square(const torch::Tensor& draws, const torch::Tensor& expected) {
  const auto n = static_cast<double>(draws.size(0));
  const auto off = draws.mean(0) - expected;  // [32]
  const auto covariance = torch::cov(draws.t());
  return n * off.dot(torch::linalg_solve(covariance, off)).item<double>();
}

TEST_P(Samplers, the_inner_gradient_is_unbiased_and_a_wrong_weight_is_seen) {
  constexpr std::int64_t kDraws = 4000, kProjections = 32, kImages = 8;
  constexpr double kBound = 62.49;  // chi-square with 32 degrees of freedom: p = 1e-3
  auto config = small_config(DecoderKind::kSiren);
  config.latent.size = 6;
  const auto model =
      make_model(config, {.shape = {.channels = 1, .height = kHeight, .width = kWidth}});
  const auto images = random_images({kImages, 1, kHeight, kWidth}, 5);
  const at::NoGradGuard no_grad;
  const auto gradient_at = [&](const Coordinates* at) {
    return model.decoder->gradient_at_origin(images, {}, kImages, {.coordinates = at})
        .gradient.flatten();
  };
  const auto exact = gradient_at(nullptr);  // [48]
  const auto projections = torch::randn({kProjections, exact.numel()},
                                        at::detail::createCPUGenerator(1), torch::kFloat64);
  const CoordinateDraws draws({.inner = set, .outer = {}}, kHeight, kWidth, /*seed=*/9, nullptr);
  std::vector<torch::Tensor> projected;
  for (std::int64_t batch = 0; batch < kDraws; ++batch) {
    const auto at = draws.at({.batch = batch}, exact.options());
    projected.push_back(projections.mv(gradient_at(&at.inner)));
  }
  const auto all = torch::stack(projected);
  const auto expected = projections.mv(exact);
  EXPECT_LT(chi_square(all, expected), kBound);
  EXPECT_GT(chi_square(all * 1.01, expected), kBound) << "a weight that is wrong by 1 %";
  EXPECT_GT(chi_square(all * 0.99, expected), kBound) << "a weight that is wrong by 1 %";
  std::printf("%s: chi-square %.1f, with a wrong weight %.0f and %.0f\n", GetParam(),
              chi_square(all, expected), chi_square(all * 1.01, expected),
              chi_square(all * 0.99, expected));
}

INSTANTIATE_TEST_SUITE_P(MonteCarlo, Samplers,
                         testing::Values("uniform:60", "stratified:60", "sobol:64"));

TEST(MonteCarlo, uniform_draws_no_pixel_twice) {
  const PixelSampler sampler(set_of("uniform:100"), kHeight, kWidth, 1, "test");
  for (std::int64_t batch = 0; batch < 50; ++batch) {
    const auto pixels = sampler.draw({.batch = batch});
    EXPECT_EQ(std::set(pixels.begin(), pixels.end()).size(), pixels.size());
  }
}

TEST(MonteCarlo, stratified_draws_one_pixel_in_each_rectangle) {
  const PixelSampler sampler(set_of("stratified:15"), kHeight, kWidth, 1, "test");  // 3 x 5
  std::set<std::int64_t> seen;
  for (std::int64_t batch = 0; batch < 400; ++batch) {
    std::set<std::int64_t> rectangles;
    for (const auto pixel : sampler.draw({.batch = batch})) {
      rectangles.insert(pixel / kWidth / 4 * 5 + pixel % kWidth / 4);
      seen.insert(pixel);
    }
    EXPECT_EQ(rectangles.size(), 15u);
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kHeight * kWidth));
}

TEST(MonteCarlo, sobol_points_fill_every_binary_rectangle) {
  // 64 points of a scrambled net in base 2: each of the 8 x 8 squares of the unit square has one.
  const PixelSampler sampler(set_of("sobol:64"), 16, 16, 1, "test");
  for (std::int64_t batch = 0; batch < 20; ++batch) {
    std::set<std::int64_t> squares;
    for (const auto pixel : sampler.draw({.batch = batch})) {
      squares.insert(pixel / 16 / 2 * 8 + pixel % 16 / 2);
    }
    EXPECT_EQ(squares.size(), 64u);
  }
}

TEST(MonteCarlo, rectangles_are_as_square_as_can_be) {
  const auto cut = [](std::int64_t count, std::int64_t height, std::int64_t width) {
    const auto strata = strata_of(count, height, width);
    return strata ? std::pair(strata->rows, strata->columns)
                  : std::pair(std::int64_t{0}, std::int64_t{0});
  };
  using Pair = std::pair<std::int64_t, std::int64_t>;
  EXPECT_EQ(cut(784, 28, 28), Pair(28, 28));
  EXPECT_EQ(cut(1000, 64, 64), Pair(25, 40));
  EXPECT_EQ(cut(8, 64, 128), Pair(2, 4));
  EXPECT_EQ(cut(1, 5, 9), Pair(1, 1));
  EXPECT_EQ(cut(997, 64, 64), Pair(0, 0));
  EXPECT_EQ(cut(785, 28, 28), Pair(0, 0));
}

TEST(MonteCarlo, sets_that_an_image_has_not_are_refused_with_one_it_has) {
  EXPECT_EQ(coordinate_set_problem(set_of("full"), 28, 28), "");
  EXPECT_EQ(coordinate_set_problem(set_of("sobol:784"), 28, 28), "");
  EXPECT_EQ(coordinate_set_problem(set_of("sobol:785"), 28, 28),
            " draws more pixels than the 784 of an image of 28x28: draw fewer, or set it to full");
  EXPECT_EQ(coordinate_set_problem(set_of("stratified:97"), 28, 28),
            " does not cut an image of 28x28 into as many rectangles that are at most twice as "
            "long as wide: 96 does");
}

// ---- Steps of training ----

RunConfig run_config(const std::string& inner, const std::string& outer) {
  auto config = small_config(DecoderKind::kSiren);
  config.coordinates.inner = set_of(inner);
  config.coordinates.outer = set_of(outer);
  config.trainer.batch_size = 6;
  return config;
}

struct Step {
  explicit Step(const RunConfig& run)
      : trainee(run, {.channels = 2, .height = kHeight, .width = kWidth}, MPI_COMM_SELF),
        draws(run.coordinates, kHeight, kWidth, run.run.seed, nullptr),
        pixels(random_images({run.trainer.batch_size, 2, kHeight, kWidth}, 4)
                   .mul(255)
                   .to(torch::kUInt8)) {}

  /// What a draw sees of the batch.
  [[nodiscard]] StepView view(DrawKey key) {
    StepView view{.pixels = pixels,
                  .coordinates = draws.at(key, trainee.weights().options().requires_grad(false))};
    if (draws.all()) {
      view.pixels = pixels.flatten(2).index_select(2, torch::tensor(draws.pixels(key)));
    }
    return view;
  }

  /// The gradient and the spread of one step with weights that do not move.
  StepResult run(DrawKey key, std::int64_t others) {
    const auto kept = trainee.weights().detach().clone();
    StepInput input{.view = view(key), .ids = ids};
    for (std::int64_t repeat = 1; repeat <= others; ++repeat) {
      input.others.push_back(view({.batch = key.batch, .repeat = key.repeat + repeat}));
    }
    PhaseTimer timer(trainee.progress);
    TrainStep step(trainee.config,
                   {.decoder = trainee.decoder(),
                    .objective = *trainee.model.objective,
                    .optimizer = trainee.optimizer,
                    .average = trainee.average},
                   trainee.communicator, timer);
    auto result = step.run(input, 1, 1e-3);
    const at::NoGradGuard no_grad;
    trainee.weights().copy_(kept);
    return result;
  }

  [[nodiscard]] torch::Tensor gradient() { return trainee.parameters().flat_gradient().clone(); }

  TestTrainee trainee;
  CoordinateDraws draws;
  torch::Tensor pixels;
  std::vector<std::int64_t> ids = {0, 1, 2, 3, 4, 5};
};

TEST(MonteCarloStep, drawing_every_pixel_is_the_full_grid) {
  Step full(run_config("full", "full"));
  const auto expected = full.run({}, 0);
  for (const auto& [inner, outer] :
       {std::pair("uniform:240", "uniform:240"), std::pair("full", "uniform:240"),
        std::pair("uniform:240", "full")}) {
    Step drawn(run_config(inner, outer));
    const auto result = drawn.run({.batch = 3}, 0);
    EXPECT_LE(relative_error(result.sums, expected.sums), 1e-12) << inner << " " << outer;
    EXPECT_LE(relative_error(drawn.gradient(), full.gradient()), 1e-11) << inner << " " << outer;
  }
}

TEST(MonteCarloStep, several_steps_of_double_backward_see_the_same_weighted_pixels) {
  const auto with_path = [](LatentPath path) {
    auto config = run_config("sobol:64", "sobol:32");
    config.latent.path = path;
    return config;
  };
  Step shared(with_path(LatentPath::kSharedOrigin));
  Step twice(with_path(LatentPath::kDoubleBackward));
  const auto a = shared.run({.batch = 5}, 0);
  const auto b = twice.run({.batch = 5}, 0);
  EXPECT_LE(relative_error(a.sums, b.sums), 1e-12);
  EXPECT_LE(relative_error(shared.gradient(), twice.gradient()), 1e-11);
}

/// The root mean square of the gradient's error over independent draws, over its mean's norm.
double true_spread(Step& step, std::int64_t draws) {
  std::vector<torch::Tensor> gradients;
  for (std::int64_t batch = 0; batch < draws; ++batch) {
    (void)step.run({.batch = 1000 + batch}, 0);
    gradients.push_back(step.gradient());
  }
  const auto all = torch::stack(gradients);
  const auto mean = all.mean(0);
  const auto variance = (all - mean).square().sum().item<double>() / static_cast<double>(draws - 1);
  return std::sqrt(variance) / mean.norm().item<double>();
}

class Spread : public testing::TestWithParam<const char*> {};

TEST_P(Spread, is_what_independent_draws_show) {
  Step step(run_config(GetParam(), GetParam()));
  constexpr std::int64_t kReports = 24;
  double squares = 0;
  for (std::int64_t batch = 0; batch < kReports; ++batch) {
    const auto spread = step.run({.batch = batch}, 3).spread.item<double>();
    squares += spread * spread;
  }
  const double reported = std::sqrt(squares / kReports);
  const double shown = true_spread(step, 300);
  EXPECT_NEAR(reported / shown, 1, 0.15);
  std::printf("%s: reported %.4f, over 300 draws %.4f\n", GetParam(), reported, shown);
}

INSTANTIATE_TEST_SUITE_P(MonteCarlo, Spread,
                         testing::Values("uniform:60", "stratified:60", "sobol:64"));

TEST(MonteCarloStep, measuring_the_spread_does_not_change_the_step) {
  Step plain(run_config("sobol:32", "sobol:32")), measured(run_config("sobol:32", "sobol:32"));
  const auto a = plain.run({.batch = 2}, 0);
  const auto b = measured.run({.batch = 2}, 3);
  EXPECT_FALSE(a.spread.defined());
  EXPECT_TRUE(torch::equal(a.sums, b.sums));
  EXPECT_TRUE(torch::equal(plain.gradient(), measured.gradient()));
}

}  // namespace
}  // namespace gondola
