#include "trainer/kernels/sine_operations.hpp"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <algorithm>
#include <ostream>
#include <tuple>

#include "tests/support/relative_error.hpp"
#include "trainer/kernels/sine_kernel_operations.hpp"
#include "trainer/kernels/sine_kernels_body.hpp"

namespace gondola {
namespace {

/// The GPU's kernels on this CPU, one thread after the other: what they compute is checked where
/// there is no GPU as well.
struct OneByOne {
  template <typename Kernel>
  static void run(void*, std::int64_t blocks, std::int64_t columns, const Kernel& kernel) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      for (std::int64_t column = 0; column < columns; ++column) kernel(block, column);
    }
  }
};

enum class Made { kLoops, kKernelsOneByOne, kKernelsOnGpu };

void PrintTo(Made made, std::ostream* out) {
  *out << (made == Made::kLoops             ? "loops"
           : made == Made::kKernelsOneByOne ? "kernels_one_by_one"
                                            : "kernels_on_gpu");
}

class SineOperationsTest : public testing::TestWithParam<std::tuple<Made, torch::ScalarType>> {
 protected:
  void SetUp() override {
    if (on_gpu() && !torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device here";
  }

  [[nodiscard]] static bool on_gpu() { return std::get<0>(GetParam()) == Made::kKernelsOnGpu; }
  [[nodiscard]] static const SineOperations& operations() {
    static const SineKernelOperations one_by_one(sine_kernels::Calls<float, OneByOne>::kTable,
                                                 sine_kernels::Calls<double, OneByOne>::kTable,
                                                 [] { return nullptr; });
    if (std::get<0>(GetParam()) == Made::kKernelsOneByOne) return one_by_one;
    return sine_operations(on_gpu() ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU));
  }
  [[nodiscard]] static torch::Tensor normal(at::IntArrayRef shape, std::uint64_t seed,
                                            double scale = 1) {
    return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::kFloat64)
        .mul(scale)
        .to(std::get<1>(GetParam()))
        .to(on_gpu() ? torch::kCUDA : torch::kCPU);
  }
  [[nodiscard]] static SineTable table_of(const torch::Tensor& angles) {
    return {.sines = angles.sin(), .cosines = angles.cos()};
  }
  static void expect_near(const torch::Tensor& actual, const torch::Tensor& expected) {
    const bool single = std::get<1>(GetParam()) == torch::kFloat32;
    EXPECT_LE(relative_error(actual.cpu(), expected.cpu()), single ? 2e-6 : 4e-15);
  }
};

/// Rows within a block of rows, at its end, and behind some; columns of less than a warp, of part
/// of a second block of threads, and of none left over.
const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes = {
    {1, 1}, {7, 5}, {8, 33}, {32, 64}, {45, 300}, {130, 256}};

TEST_P(SineOperationsTest, sine_adds_the_bias) {
  for (const auto& [rows, width] : kShapes) {
    const auto x = normal({rows, width}, 1, 30);
    const auto bias = normal({width}, 2);
    const SineTable result{.sines = torch::full_like(x, NAN), .cosines = torch::full_like(x, NAN)};
    operations().sine(x, bias, result);
    expect_near(result.sines, (x + bias).sin());
    expect_near(result.cosines, (x + bias).cos());
  }
}

TEST_P(SineOperationsTest, sine_and_cosine_are_within_two_units_of_the_last_place) {
  const bool single = std::get<1>(GetParam()) == torch::kFloat32;
  for (const double scale : {1.0, 30.0, 1000.0, 9999.0}) {
    const auto x = torch::empty({100, 1003}, torch::kFloat64)
                       .uniform_(-scale, scale, at::detail::createCPUGenerator(7))
                       .to(std::get<1>(GetParam()))
                       .to(on_gpu() ? torch::kCUDA : torch::kCPU);
    const SineTable result{.sines = torch::empty_like(x), .cosines = torch::empty_like(x)};
    operations().sine(x, torch::zeros({1003}, x.options()), result);
    // In units of results beyond 1/1024, below in that one's; float64 is held against itself.
    const auto exact = x.to(torch::kFloat64);
    const auto unit = single ? 0x1p-24 : 0x1p-53;
    for (const auto& [found, wanted] :
         {std::pair(result.sines, exact.sin()), std::pair(result.cosines, exact.cos())}) {
      const auto units =
          at::exp2(at::floor(at::log2(wanted.abs().clamp_min(1.0 / 1024)))) * unit * 2;
      const auto off = ((found.to(torch::kFloat64) - wanted).abs() / units).max().item<double>();
      EXPECT_LE(off, single ? 2 : 3) << "up to " << scale;
    }
  }
}

TEST_P(SineOperationsTest, sum_sine_is_the_sine_of_the_sum_for_every_image) {
  for (const auto& [rows, width] : kShapes) {
    const auto p = normal({rows, width}, 1);
    const auto q = normal({3, width}, 2);
    const auto sine = torch::full({3 * rows, width}, NAN, p.options());
    operations().sum_sine(table_of(p), table_of(q), sine);
    expect_near(sine, (q.unsqueeze(1) + p.unsqueeze(0)).sin().flatten(0, 1));
  }
}

TEST_P(SineOperationsTest, slope_multiplies_and_adds_up_the_columns) {
  for (const auto& [rows, width] : kShapes) {
    const auto cosine = normal({rows, width}, 1);
    const auto gradient = normal({rows, width}, 2);
    const auto before = normal({width}, 3);
    const auto expected = gradient * cosine;
    const auto sums = before.clone();
    operations().slope(cosine, gradient, sums);
    expect_near(gradient, expected);
    expect_near(sums, before + expected.sum(0));
  }
}

TEST_P(SineOperationsTest, last_slope_is_the_product_with_the_last_weight_times_the_cosine) {
  for (const std::int64_t channels : {1, 2, 3, 4}) {
    for (const auto& [rows, width] : kShapes) {
      const auto residual = normal({rows, channels}, 1);
      const auto weight = normal({channels, width}, 2);
      const auto cosine = normal({rows, width}, 3);
      const auto before = normal({width}, 4);
      const auto expected = residual.mm(weight) * cosine;
      const auto gradient = torch::full_like(cosine, NAN);
      const auto sums = before.clone();
      operations().last_slope(residual, weight, cosine, gradient, sums);
      expect_near(gradient, expected);
      expect_near(sums, before + expected.sum(0));
    }
  }
}

TEST_P(SineOperationsTest, first_slope_sums_by_image_and_by_coordinate) {
  for (const auto& [rows, width] : kShapes) {
    const auto points = normal({rows, 2}, 1);
    const auto p = normal({rows, width}, 2);
    const auto q = normal({3, width}, 3);
    const auto gradient = normal({3 * rows, width}, 4);
    const auto images_before = normal({3, width}, 5);
    const auto points_before = normal({2, width}, 6);
    const auto d =
        gradient.view({3, rows, width}) * (q.unsqueeze(1) + p.unsqueeze(0)).cos();  // [B, N, h]
    const auto of_images = images_before.clone();
    const auto of_points = points_before.clone();
    operations().first_slope(points, table_of(p), table_of(q), gradient, of_images, of_points);
    expect_near(of_images, images_before + d.sum(1));
    expect_near(of_points, points_before + points.t().mm(d.sum(0)));
  }
}

TEST_P(SineOperationsTest, no_image_and_no_row_leave_the_sums_as_they_are) {
  const auto of_images = normal({2, 8}, 1);
  const auto of_points = normal({2, 8}, 2);
  const auto images_before = of_images.clone();
  const auto points_before = of_points.clone();
  const auto p = table_of(normal({0, 8}, 3));
  operations().first_slope(normal({0, 2}, 4), p, table_of(normal({2, 8}, 5)), normal({0, 8}, 6),
                           of_images, of_points);
  operations().first_slope(normal({4, 2}, 4), table_of(normal({4, 8}, 5)), p, normal({0, 8}, 6),
                           of_images.narrow(0, 0, 0), of_points);
  EXPECT_TRUE(torch::equal(of_images, images_before));
  EXPECT_TRUE(torch::equal(of_points, points_before));
}

INSTANTIATE_TEST_SUITE_P(devices, SineOperationsTest,
                         testing::Combine(testing::Values(Made::kLoops, Made::kKernelsOneByOne),
                                          testing::Values(torch::kFloat32, torch::kFloat64)));
INSTANTIATE_TEST_SUITE_P(gpu, SineOperationsTest,
                         testing::Combine(testing::Values(Made::kKernelsOnGpu),
                                          testing::Values(torch::kFloat32, torch::kFloat64)));

}  // namespace
}  // namespace gondola
