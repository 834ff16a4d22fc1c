#include "trainer/kernels/norm_loops.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "trainer/kernels/loops_for.hpp"

namespace gondola {
namespace {

template <typename T>
class EachNormLoops : public testing::Test {
 public:
  static constexpr auto kType = std::is_same_v<T, float> ? torch::kFloat32 : torch::kFloat64;
  static constexpr double kTolerance = std::is_same_v<T, float> ? 2e-6 : 4e-15;

  static torch::Tensor normal(at::IntArrayRef shape, std::uint64_t seed) {
    return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::kFloat64).to(kType);
  }
  static T* data(const torch::Tensor& x) { return x.data_ptr<T>(); }
};

using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(EachNormLoops, Types);

/// Widths with and without a rest behind the vectors and beyond the columns that are summed at a
/// time, rows likewise.
const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes = {{0, 5},   {1, 1},   {3, 7},
                                                                    {32, 16}, {70, 64}, {65, 200}};

TYPED_TEST(EachNormLoops, the_exponential_is_within_two_units_of_the_last_place_of_1) {
  using T = TypeParam;
  std::vector<T> x = {0,
                      -0.0,
                      std::numeric_limits<T>::denorm_min(),
                      static_cast<T>(-1e-30),
                      std::numeric_limits<T>::infinity(),
                      -std::numeric_limits<T>::infinity(),
                      std::numeric_limits<T>::lowest(),
                      1000};
  for (int i = 0; i < 20000; ++i) x.push_back(static_cast<T>(-i * 50.0 / 20000));
  for (int i = 0; i < 1000; ++i) x.push_back(static_cast<T>(i - 500) / 1000);
  const T zero = 0;
  const T one = 1;
  for (const auto& capability : loop_capabilities()) {
    const auto& loops = norm_loops_for<T>(capability);
    std::vector<T> out(x.size());
    loops.forward(static_cast<std::int64_t>(x.size()), 1, x.data(), &zero, &one, &zero, out.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto expected =
          x[i] > 0 ? static_cast<long double>(x[i]) : std::expm1(static_cast<long double>(x[i]));
      if (std::isinf(expected)) {
        EXPECT_EQ(out[i], x[i]);
        continue;
      }
      const auto error = std::abs(static_cast<long double>(out[i]) - expected);
      EXPECT_LE(error, 2 * std::numeric_limits<T>::epsilon()) << capability << " at " << x[i];
      // Near 0 it is as exact as the argument.
      if (x[i] <= 0 && x[i] > -0.3) {
        EXPECT_LE(error, 2 * std::numeric_limits<T>::epsilon() * -expected)
            << capability << " at " << x[i];
      }
    }
  }
}

TYPED_TEST(EachNormLoops, what_is_not_a_number_stays_so) {
  using T = TypeParam;
  const std::vector<T> x(40, std::numeric_limits<T>::quiet_NaN());
  const T zero = 0;
  for (const auto& capability : loop_capabilities()) {
    std::vector<T> out(x.size());
    norm_loops_for<T>(capability).forward(40, 1, x.data(), &zero, &zero, &zero, out.data());
    for (const T value : out) EXPECT_TRUE(std::isnan(value)) << capability;
  }
}

TYPED_TEST(EachNormLoops, are_those_of_atens_operators) {
  using T = TypeParam;
  const auto data = [](const torch::Tensor& x) { return TestFixture::data(x); };
  for (const auto& capability : loop_capabilities()) {
    const auto& loops = norm_loops_for<T>(capability);
    for (const auto& [rows, width] : kShapes) {
      SCOPED_TRACE(capability + ", " + std::to_string(rows) + " x " + std::to_string(width));
      const auto x = TestFixture::normal({rows, width}, 1);
      const auto mean = TestFixture::normal({width}, 2);
      const auto scale = TestFixture::normal({width}, 3);
      const auto shift = TestFixture::normal({width}, 4);
      const auto gradient = TestFixture::normal({rows, width}, 5);
      const auto level = TestFixture::normal({width}, 6);
      const auto along = TestFixture::normal({width}, 7);
      auto sums = torch::ones({4, width}, torch::kFloat64);
      auto* const sum = sums.template data_ptr<double>();
      auto out = torch::empty_like(x);
      auto of_x = torch::empty_like(x);
      loops.sum(rows, width, data(x), sum);
      loops.squares(rows, width, data(x), data(mean), sum + width);
      loops.forward(rows, width, data(x), data(mean), data(scale), data(shift), data(out));
      loops.slope_sums(rows, width, data(gradient), data(out), data(x), data(mean), sum + 2 * width,
                       sum + 3 * width);
      loops.backward(rows, width, data(gradient), data(out), data(x), data(mean), data(level),
                     data(along), data(scale), data(of_x));

      const auto precise = [](const torch::Tensor& values) { return values.to(torch::kFloat64); };
      const auto centered = precise(x) - precise(mean);
      const auto y = centered * precise(scale) + precise(shift);
      const auto h = at::elu_backward(precise(gradient), 1, 1, 1, /*is_result=*/false, y);
      const auto expected_of_x = (h - precise(level) - centered * precise(along)) * precise(scale);
      const auto expected = 1 + torch::stack({precise(x).sum(0), centered.square().sum(0), h.sum(0),
                                              (h * centered).sum(0)});
      EXPECT_LE(relative_error(sums, expected), 8 * TestFixture::kTolerance);
      if (rows == 0) continue;
      EXPECT_LE(relative_error(precise(out), at::elu(y)), TestFixture::kTolerance);
      EXPECT_LE(relative_error(precise(of_x), expected_of_x), TestFixture::kTolerance);
    }
  }
}

TYPED_TEST(EachNormLoops, of_the_second_derivative_are_those_of_atens_operators) {
  using T = TypeParam;
  const auto data = [](const torch::Tensor& x) { return TestFixture::data(x); };
  for (const auto& capability : loop_capabilities()) {
    const auto& loops = norm_loops_for<T>(capability);
    for (const auto& [rows, width] : kShapes) {
      SCOPED_TRACE(capability + ", " + std::to_string(rows) + " x " + std::to_string(width));
      const auto tangent = TestFixture::normal({rows, width}, 1);
      const auto gradient = TestFixture::normal({rows, width}, 2);
      const auto x = TestFixture::normal({rows, width}, 3);
      const auto y = TestFixture::normal({rows, width}, 4);
      if (rows > 0) y[rows / 2].zero_();  // at the kink
      const auto out = at::elu(y);
      std::vector<torch::Tensor> of_channels;
      for (std::uint64_t i = 0; i < 8; ++i)
        of_channels.push_back(TestFixture::normal({width}, 5 + i));
      const auto& channel = of_channels;
      const NormCurve<T> curve{data(channel[0]), data(channel[1]), data(channel[2]),
                               data(channel[3]), data(channel[4]), data(channel[5]),
                               data(channel[6]), data(channel[7])};
      auto sums = torch::ones({5, width}, torch::kFloat64);
      auto* const sum = sums.template data_ptr<double>();
      auto of_gradient = torch::empty_like(x);
      auto of_x = torch::empty_like(x);
      loops.tangent_sums(rows, width, data(tangent), data(gradient), data(out), data(x),
                         data(channel[0]), {sum, sum + width, sum + 2 * width});
      loops.curve_sums(rows, width, data(tangent), data(gradient), data(out), data(x), curve,
                       sum + 3 * width, sum + 4 * width);
      loops.curve(rows, width, data(tangent), data(gradient), data(out), data(x), curve,
                  data(of_gradient), data(of_x));

      const auto of = [&](std::size_t i) { return channel[i].to(torch::kFloat64); };
      const auto v = tangent.to(torch::kFloat64);
      const auto g = gradient.to(torch::kFloat64);
      const auto centered = x.to(torch::kFloat64) - of(0);
      const auto below = out.to(torch::kFloat64) + 1;  // an ELU's slope and curvature below 0
      const auto slope = torch::where(y > 0, torch::ones_like(g), below);
      const auto c = v * of(1) - of(2) - centered * of(3);
      const auto t = torch::where(y >= 0, torch::zeros_like(g), c * g * below);
      const auto expected =
          1 + torch::stack({v.sum(0), (v * centered).sum(0), (v * g * slope).sum(0), t.sum(0),
                            (t * centered).sum(0)});
      EXPECT_LE(relative_error(sums, expected), 8 * TestFixture::kTolerance);
      if (rows == 0) continue;
      EXPECT_LE(relative_error(of_gradient.to(torch::kFloat64), c * slope),
                TestFixture::kTolerance);
      const auto expected_of_x =
          v * of(4) + g * slope * of(5) + t * of(1) - of(6) - centered * of(7);
      EXPECT_LE(relative_error(of_x.to(torch::kFloat64), expected_of_x), TestFixture::kTolerance);
    }
  }
}

}  // namespace
}  // namespace gondola
