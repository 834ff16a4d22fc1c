#include "trainer/decoders/siren_functions.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "trainer/coordinates/grid.hpp"

namespace gondola {
namespace {

/// A small problem, and the way its passes are made.
struct Case {
  std::int64_t channels = 1;
  std::int64_t side = 7;
  std::int64_t images = 5;
  std::int64_t hidden = 32;
  std::int64_t depth = 3;
  int threads = 1;
  std::int64_t activation_bytes = kActivationBytes;
  ProductLibrary library = ProductLibrary::kAten;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.channels << "x" << c.side << "x" << c.side << " x " << c.images << ", hidden "
       << c.hidden << "x" << c.depth << ", " << c.threads << " threads, " << c.activation_bytes
       << " bytes, " << name_of(c.library);
}

constexpr double kW0 = 30;
constexpr std::int64_t kLatent = 6;

/// Weights as SIREN starts them, an image of each kind, and what a step makes of them.
class Problem {
 public:
  Problem(const Case& c, torch::ScalarType dtype) : case_(c), dtype_(dtype) {
    auto generator = at::detail::createCPUGenerator(5);
    const auto draw = [&](at::IntArrayRef shape, double bound) {
      return torch::empty(shape, torch::kFloat64)
          .uniform_(-bound, bound, generator)
          .to(torch::kFloat32)  // the same numbers in either precision
          .to(dtype)
          .requires_grad_(true);
    };
    std::int64_t in = 2 + kLatent;
    for (std::int64_t layer = 0; layer <= c.depth; ++layer) {
      const auto out = layer == c.depth ? c.channels : c.hidden;
      const auto inputs = static_cast<double>(in);
      parameters_.push_back(draw({out, in}, layer == 0 ? 1 / inputs : std::sqrt(6 / inputs) / kW0));
      parameters_.push_back(draw({out}, 1 / std::sqrt(inputs)));
      in = out;
    }
    points_ = full_grid(c.side, c.side, torch::kFloat64).points.to(torch::kFloat32).to(dtype);
    images_ = torch::empty({c.images, c.channels, c.side * c.side}, torch::kFloat64)
                  .uniform_(0, 1, generator)
                  .to(torch::kFloat32)
                  .to(dtype);
  }

  /// z, inner loss, loss of each image, the gradient of every parameter.
  using Figures = std::vector<torch::Tensor>;

  /// The network on the concatenation of coordinates and latent; latents [B, k] -> [B, C, N].
  [[nodiscard]] torch::Tensor naive_decode(const torch::Tensor& latents) const {
    const auto images = latents.size(0);
    auto x = torch::cat({points_.unsqueeze(0).expand({images, points_.size(0), 2}),
                         latents.unsqueeze(1).expand({images, points_.size(0), kLatent})},
                        2);
    for (std::size_t i = 0; i + 2 < parameters_.size(); i += 2) {
      x = (kW0 * (x.matmul(parameters_[i].t()) + parameters_[i + 1])).sin();
    }
    const auto last = parameters_.size() - 2;
    return (x.matmul(parameters_[last].t()) + parameters_[last + 1]).transpose(1, 2);
  }

  /// By autograd alone, the inner gradient differentiated again.
  [[nodiscard]] Figures naive(std::int64_t steps = 1) const {
    auto z = torch::zeros({case_.images, kLatent}, dtype_).requires_grad_(true);
    torch::Tensor inner;
    for (std::int64_t step = 0; step < steps; ++step) {
      const auto loss = (naive_decode(z) - images_).square().sum({1, 2});
      if (step == 0) inner = loss.detach();
      z = z - step_size() * torch::autograd::grad({loss.sum()}, {z}, {}, true, true)[0];
    }
    return finish(z, inner, (naive_decode(z) - images_).square().sum({1, 2}));
  }

  [[nodiscard]] SirenLayers layers() const {
    SirenLayers result;
    for (std::size_t i = 0; i < parameters_.size(); i += 2) {
      const double scale = i + 2 < parameters_.size() ? kW0 : 1;
      result.weights.push_back(parameters_[i] * scale);
      result.biases.push_back(parameters_[i + 1] * scale);
    }
    return result;
  }

  [[nodiscard]] SirenFunctions functions() const {
    return {.product = {case_.library, case_.library}, .activation_bytes = case_.activation_bytes};
  }

  enum class Outer { kDecode, kSquaredError };

  /// By the passes under test.
  [[nodiscard]] Figures fast(Outer outer) const {
    const auto origin = functions().gradient_at_origin(layers(), points_, images_);
    const auto z = -step_size() * origin.gradient;
    const auto loss = outer == Outer::kSquaredError
                          ? functions().squared_error(layers(), points_, z, images_)
                          : (functions().decode(layers(), points_, z).transpose(1, 2) - images_)
                                .square()
                                .sum({1, 2});
    return finish(z, origin.loss, loss);
  }

  [[nodiscard]] double step_size() const {
    return 1.0 / static_cast<double>(case_.channels * case_.side * case_.side);
  }
  [[nodiscard]] const torch::Tensor& points() const { return points_; }
  [[nodiscard]] const torch::Tensor& images() const { return images_; }
  [[nodiscard]] const std::vector<torch::Tensor>& parameters() const { return parameters_; }

  [[nodiscard]] Figures finish(const torch::Tensor& z, const torch::Tensor& inner,
                               const torch::Tensor& loss) const {
    Figures result = {z.detach(), inner.detach(), loss.detach()};
    for (auto& gradient : torch::autograd::grad({loss.sum()}, parameters_)) {
      result.push_back(gradient);
    }
    return result;
  }

 private:
  Case case_;
  torch::ScalarType dtype_;
  std::vector<torch::Tensor> parameters_;
  torch::Tensor points_;
  torch::Tensor images_;
};

void expect_equal(const Problem::Figures& figures, const Problem::Figures& expected,
                  double tolerance) {
  ASSERT_EQ(figures.size(), expected.size());
  for (std::size_t i = 0; i < figures.size(); ++i) {
    EXPECT_LE(relative_error(figures[i], expected[i]), tolerance)
        << (i == 0   ? std::string("z")
            : i == 1 ? std::string("inner loss")
            : i == 2 ? std::string("loss")
                     : "gradient " + std::to_string(i - 3));
  }
}

class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// Contract C2.
class EachSirenCase : public testing::TestWithParam<Case> {};

TEST_P(EachSirenCase, is_the_double_backward_step_to_1e_10_in_float64_and_2e_5_in_float32) {
  if (!is_available(GetParam().library)) GTEST_SKIP() << "this libtorch has no oneDNN";
  const Threads threads(GetParam().threads);
  const Problem exact(GetParam(), torch::kFloat64);
  const Problem single(GetParam(), torch::kFloat32);
  const auto expected = exact.naive();
  for (const auto outer : {Problem::Outer::kDecode, Problem::Outer::kSquaredError}) {
    SCOPED_TRACE(outer == Problem::Outer::kDecode ? "decode" : "squared_error");
    expect_equal(exact.fast(outer), expected, 1e-10);
    expect_equal(single.fast(outer), expected, 2e-5);
  }
}

constexpr std::int64_t kNone = 0;

INSTANTIATE_TEST_SUITE_P(
    SirenFunctions, EachSirenCase,
    testing::Values(Case{.images = 2}, Case{.channels = 3}, Case{.images = 65},
                    Case{.channels = 3, .images = 65, .threads = 3},
                    Case{.channels = 3, .library = ProductLibrary::kOneDnn},
                    Case{.side = 28, .images = 9, .hidden = 64, .library = ProductLibrary::kOneDnn},
                    Case{.activation_bytes = kNone}, Case{.depth = 1}, Case{.depth = 2},
                    Case{.channels = 2, .depth = 5, .activation_bytes = kNone},
                    Case{.side = 28, .images = 64, .hidden = 64, .depth = 4},
                    Case{.side = 28, .images = 3, .hidden = 256, .depth = 4, .threads = 2},
                    Case{.channels = 3, .side = 33, .images = 2, .threads = 2},
                    Case{.side = 64, .images = 2, .hidden = 48, .activation_bytes = kNone},
                    Case{.channels = 3, .side = 64, .images = 7, .hidden = 33, .threads = 5},
                    Case{.side = 64, .images = 65, .hidden = 16, .depth = 2, .threads = 2}));

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
    return torch::autograd::grad({(weights * error).sum()}, inputs);
  };
  const auto expected =
      gradients((problem.naive_decode(latents) - problem.images()).square().sum({1, 2}));
  expect_equal(gradients(problem.functions().squared_error(problem.layers(), problem.points(),
                                                           latents, problem.images())),
               expected, 1e-10);
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
