#include "trainer/kernels/sine_loops.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "trainer/kernels/loops_for.hpp"

namespace gondola {
namespace {

template <typename T>
class EachLoops : public testing::Test {
 public:
  static constexpr auto kType = std::is_same_v<T, float> ? torch::kFloat32 : torch::kFloat64;
  static constexpr double kTolerance = std::is_same_v<T, float> ? 2e-6 : 4e-15;

  static torch::Tensor normal(at::IntArrayRef shape, std::uint64_t seed, double scale = 1) {
    return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::kFloat64)
        .mul(scale)
        .to(kType);
  }
  static T* data(const torch::Tensor& x) { return x.data_ptr<T>(); }
};

using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(EachLoops, Types);

/// Widths with and without a rest behind the vectors, rows with and without one behind fours.
const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes = {
    {1, 1}, {3, 7}, {4, 16}, {9, 33}, {13, 256}};

/// max |a - b| in units of the last place of b, or of `floor` where b is smaller.
template <typename T>
double units_off(const T* a, const long double* b, std::int64_t count, T floor) {
  long double worst = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const T near = std::max(std::abs(static_cast<T>(b[i])), floor);
    const long double unit = std::nextafter(near, static_cast<T>(4)) - near;
    const long double off = std::abs(static_cast<long double>(a[i]) - b[i]) / unit;
    worst = std::isnan(off) ? static_cast<long double>(INFINITY) : std::max(worst, off);
  }
  return static_cast<double>(worst);
}

TYPED_TEST(EachLoops, sine_and_cosine_are_within_two_units_of_the_last_place) {
  using T = TypeParam;
  for (const auto& capability : loop_capabilities()) {
    for (const double scale : {1.0, 30.0, 1000.0, 9999.0}) {
      constexpr std::int64_t kRows = 100;
      constexpr std::int64_t kWidth = 1003;
      auto x = torch::empty({kRows, kWidth}, torch::kFloat64)
                   .uniform_(-scale, scale, at::detail::createCPUGenerator(7))
                   .to(TestFixture::kType);
      const auto bias = torch::zeros({kWidth}, TestFixture::kType);
      std::vector<long double> sine;
      std::vector<long double> cosine;
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        const auto value = static_cast<long double>(TestFixture::data(x)[i]);
        sine.push_back(std::sin(value));
        cosine.push_back(std::cos(value));
      }
      auto s = torch::empty_like(x);
      auto c = torch::empty_like(x);
      sine_loops_for<T>(capability)
          .sine(kRows, kWidth, TestFixture::data(bias), TestFixture::data(x), TestFixture::data(s),
                TestFixture::data(c));
      const auto floor = static_cast<T>(1.0 / 1024);
      EXPECT_LE(units_off(TestFixture::data(s), sine.data(), x.numel(), floor), 2)
          << capability << " sine up to " << scale;
      EXPECT_LE(units_off(TestFixture::data(c), cosine.data(), x.numel(), floor), 2)
          << capability << " cosine up to " << scale;
    }
  }
}

TYPED_TEST(EachLoops, sine_adds_the_bias_and_copes_with_any_value) {
  using T = TypeParam;
  const auto bias = TestFixture::normal({37}, 1);
  auto x = TestFixture::normal({5, 37}, 2, 10);
  x[1][3] = 3e7;
  x[2][4] = INFINITY;
  x[3][36] = NAN;
  for (const auto& capability : loop_capabilities()) {
    auto s = torch::empty_like(x);
    auto c = torch::empty_like(x);
    sine_loops_for<T>(capability)
        .sine(5, 37, TestFixture::data(bias), TestFixture::data(x), TestFixture::data(s),
              TestFixture::data(c));
    const auto sum = x + bias;
    EXPECT_TRUE(torch::allclose(s, sum.sin(), 1e-5, 1e-6, /*equal_nan=*/true)) << capability;
    EXPECT_TRUE(torch::allclose(c, sum.cos(), 1e-5, 1e-6, /*equal_nan=*/true)) << capability;
  }
}

TYPED_TEST(EachLoops, sine_of_a_sum_is_that_of_aten) {
  using T = TypeParam;
  for (const auto& [rows, width] : kShapes) {
    const auto p = TestFixture::normal({rows, width}, 1);
    const auto q = TestFixture::normal({width}, 2);
    const auto sin_p = p.sin();
    const auto cos_p = p.cos();
    const auto sin_q = q.sin();
    const auto cos_q = q.cos();
    for (const auto& capability : loop_capabilities()) {
      auto sine = torch::empty_like(p);
      sine_loops_for<T>(capability)
          .sum_sine(rows, width, TestFixture::data(sin_p), TestFixture::data(cos_p),
                    TestFixture::data(sin_q), TestFixture::data(cos_q), TestFixture::data(sine));
      EXPECT_LE(relative_error(sine, (p + q).sin()), TestFixture::kTolerance) << capability;
    }
  }
}

TYPED_TEST(EachLoops, slope_multiplies_and_adds_up_the_columns) {
  using T = TypeParam;
  for (const auto& [rows, width] : kShapes) {
    const auto cosine = TestFixture::normal({rows, width}, 1);
    const auto gradient = TestFixture::normal({rows, width}, 2);
    const auto before = TestFixture::normal({width}, 3);
    const auto expected = gradient * cosine;
    for (const auto& capability : loop_capabilities()) {
      auto product = gradient.clone();
      auto sums = before.clone();
      sine_loops_for<T>(capability)
          .slope(rows, width, TestFixture::data(cosine), TestFixture::data(product),
                 TestFixture::data(sums));
      EXPECT_LE(relative_error(product, expected), TestFixture::kTolerance) << capability;
      EXPECT_LE(relative_error(sums, before + expected.sum(0)), TestFixture::kTolerance)
          << capability;
    }
  }
}

TYPED_TEST(EachLoops, last_slope_is_the_product_with_the_last_weight_times_the_cosine) {
  using T = TypeParam;
  for (const std::int64_t channels : {1, 2, 3, 4}) {
    for (const auto& [rows, width] : kShapes) {
      const auto residual = TestFixture::normal({rows, channels}, 1);
      const auto weight = TestFixture::normal({channels, width}, 2);
      const auto cosine = TestFixture::normal({rows, width}, 3);
      const auto before = TestFixture::normal({width}, 4);
      const auto expected = residual.mm(weight) * cosine;
      for (const auto& capability : loop_capabilities()) {
        auto gradient = torch::full_like(cosine, NAN);
        auto sums = before.clone();
        sine_loops_for<T>(capability)
            .last_slope(rows, width, channels, TestFixture::data(residual),
                        TestFixture::data(weight), TestFixture::data(cosine),
                        TestFixture::data(gradient), TestFixture::data(sums));
        EXPECT_LE(relative_error(gradient, expected), TestFixture::kTolerance) << capability;
        EXPECT_LE(relative_error(sums, before + expected.sum(0)), TestFixture::kTolerance)
            << capability;
      }
    }
  }
}

TYPED_TEST(EachLoops, first_slope_adds_up_the_columns_weighted_by_the_coordinates) {
  using T = TypeParam;
  for (const auto& [rows, width] : kShapes) {
    const auto points = TestFixture::normal({rows, 2}, 1);
    const auto p = TestFixture::normal({rows, width}, 2);
    const auto q = TestFixture::normal({width}, 3);
    const auto gradient = TestFixture::normal({rows, width}, 4);
    const auto before = TestFixture::normal({3, width}, 5);
    const auto sin_p = p.sin();
    const auto cos_p = p.cos();
    const auto sin_q = q.sin();
    const auto cos_q = q.cos();
    const auto d = gradient * (p + q).cos();
    const auto expected = before + torch::cat({d.sum(0, true), points.t().mm(d)});
    for (const auto& capability : loop_capabilities()) {
      auto sums = before.clone();
      sine_loops_for<T>(capability)
          .first_slope(rows, width, TestFixture::data(points), TestFixture::data(sin_p),
                       TestFixture::data(cos_p), TestFixture::data(sin_q), TestFixture::data(cos_q),
                       TestFixture::data(gradient), TestFixture::data(sums));
      EXPECT_LE(relative_error(sums, expected), TestFixture::kTolerance) << capability;
    }
  }
}

}  // namespace
}  // namespace gondola
