#include "trainer/kernels/matrix_product.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <array>

#include "tests/support/relative_error.hpp"

namespace gondola {
namespace {

class EachLibrary : public testing::TestWithParam<ProductLibrary> {
 protected:
  void SetUp() override {
    if (!is_available(GetParam())) GTEST_SKIP() << "this libtorch has no " << name_of(GetParam());
  }
};

torch::Tensor normal(at::IntArrayRef shape, std::uint64_t seed, torch::ScalarType type) {
  return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::kFloat64).to(type);
}

TEST_P(EachLibrary, products_are_those_of_float64) {
  const MatrixProduct product(GetParam(), GetParam());
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    const double tolerance = type == torch::kFloat32 ? 2e-6 : 1e-14;
    for (const auto& [n, m, k] :
         {std::array<std::int64_t, 3>{784, 256, 256}, {49, 12, 7}, {1, 3, 256}, {100, 256, 3}}) {
      const auto a = normal({n, k}, 1, type);
      const auto weight = normal({m, k}, 2, type);
      const auto gradient = normal({n, m}, 3, type);
      const auto before = normal({m, k}, 4, type);
      const auto in64 = [](const torch::Tensor& x) { return x.to(torch::kFloat64); };

      const auto space = torch::empty({n, m}, type);
      auto out = product.multiply(a, weight, space);
      EXPECT_LE(relative_error(out, in64(a).mm(in64(weight).t())), tolerance) << n << "x" << m;
      out = product.multiply(a, weight.t().contiguous().t(), space);  // a transposed weight
      EXPECT_LE(relative_error(out, in64(a).mm(in64(weight).t())), tolerance) << n << "x" << m;

      auto sum = before.clone();
      product.add_outer(gradient, a, sum);
      EXPECT_LE(relative_error(sum, in64(before) + in64(gradient).t().mm(in64(a))), tolerance)
          << n << "x" << m;
    }
  }
}

TEST(MatrixProduct, in_bfloat16_rounds_float32_and_leaves_float64_alone) {
  const MatrixProduct product(ProductLibrary::kBf16, ProductLibrary::kBf16);
  const auto rounded = [](const torch::Tensor& x) {
    return x.to(torch::kBFloat16).to(torch::kFloat64);
  };
  const auto a = normal({100, 256}, 1, torch::kFloat32);
  const auto weight = normal({30, 256}, 2, torch::kFloat32);
  const auto gradient = normal({100, 30}, 3, torch::kFloat32);
  // The operands are rounded, and the result: to 2^-9 of its value.
  const auto found = product.multiply(a, weight, torch::empty({100, 30}));
  EXPECT_EQ(found.scalar_type(), torch::kFloat32);
  EXPECT_LE(relative_error(found, rounded(a).mm(rounded(weight).t())), 0x1p-8);
  EXPECT_GE(relative_error(found, a.mm(weight.t())), 1e-4);
  auto sum = torch::ones({30, 256});
  product.add_outer(gradient, a, sum);
  EXPECT_LE(relative_error(sum - 1, rounded(gradient).t().mm(rounded(a))), 0x1p-8);

  const auto a64 = a.to(torch::kFloat64);
  const auto weight64 = weight.to(torch::kFloat64);
  const auto exact = product.multiply(a64, weight64, torch::empty({100, 30}, torch::kFloat64));
  EXPECT_LE(relative_error(exact, a64.mm(weight64.t())), 1e-14);
}

INSTANTIATE_TEST_SUITE_P(MatrixProduct, EachLibrary,
                         testing::Values(ProductLibrary::kAten, ProductLibrary::kOneDnn),
                         [](const auto& param) { return name_of(param.param); });

TEST(MatrixProduct, the_rate_of_each_library_there_is_can_be_measured) {
  for (const auto library : {ProductLibrary::kAten, ProductLibrary::kOneDnn}) {
    if (!is_available(library)) continue;
    const auto rates = measure_products(library);
    EXPECT_GT(rates.rows, 0) << name_of(library);
    EXPECT_GT(rates.sums, 0) << name_of(library);
  }
}

}  // namespace
}  // namespace gondola
