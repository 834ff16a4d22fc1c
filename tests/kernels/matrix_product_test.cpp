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
