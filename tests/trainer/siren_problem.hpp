#pragma once

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "trainer/coordinates/grid.hpp"
#include "trainer/decoders/siren_functions.hpp"

namespace gondola::siren_problem {

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
  torch::Device device = torch::kCPU;
  std::int64_t tile_rows = 0;  // by the device
};

inline void PrintTo(const Case& c, std::ostream* out) {
  *out << c.channels << "x" << c.side << "x" << c.side << " x " << c.images << ", hidden "
       << c.hidden << "x" << c.depth << ", " << c.threads << " threads, " << c.activation_bytes
       << " bytes, " << name_of(c.library) << " on " << c.device << ", tiles of " << c.tile_rows;
}

inline constexpr double kW0 = 30;
inline constexpr std::int64_t kLatent = 6;

/// Weights as SIREN starts them, an image of each kind, and what a step makes of them.
class Problem {
 public:
  Problem(const Case& c, torch::ScalarType dtype) : case_(c) {
    auto generator = at::detail::createCPUGenerator(5);
    const auto draw = [&](at::IntArrayRef shape, double bound) {
      return torch::empty(shape, torch::kFloat64)
          .uniform_(-bound, bound, generator)
          .to(torch::kFloat32)  // the same numbers in either precision
          .to(c.device, dtype)
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
    points_ =
        full_grid(c.side, c.side, torch::kFloat64).points.to(torch::kFloat32).to(c.device, dtype);
    images_ = torch::empty({c.images, c.channels, c.side * c.side}, torch::kFloat64)
                  .uniform_(0, 1, generator)
                  .to(torch::kFloat32)
                  .to(c.device, dtype);
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
    auto z = torch::zeros({case_.images, kLatent}, points_.options()).requires_grad_(true);
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
    return {.work = {.product = {case_.library, case_.library}, .tile_rows = case_.tile_rows},
            .activation_bytes = case_.activation_bytes};
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
  std::vector<torch::Tensor> parameters_;
  torch::Tensor points_;
  torch::Tensor images_;
};

inline void expect_equal(const Problem::Figures& figures, const Problem::Figures& expected,
                         double tolerance) {
  ASSERT_EQ(figures.size(), expected.size());
  for (std::size_t i = 0; i < figures.size(); ++i) {
    EXPECT_LE(relative_error(figures[i].cpu(), expected[i].cpu()), tolerance)
        << (i == 0   ? std::string("z")
            : i == 1 ? std::string("inner loss")
            : i == 2 ? std::string("loss")
                     : "gradient " + std::to_string(i - 3));
  }
}

}  // namespace gondola::siren_problem
