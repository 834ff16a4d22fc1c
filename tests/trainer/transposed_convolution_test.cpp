#include "trainer/layers/transposed_convolution.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "tests/support/relative_error.hpp"

namespace gondola {
namespace {

struct Case {
  std::int64_t images, in, out, height, width, kernel, stride, padding;
};

/// Those of the plans (4, 2, 1; 4, 1, 0 of one pixel; 3, 2, 1) and odd ones: pixels that no patch
/// reaches, patches that lie outside for the most part.
const std::vector<Case> kCases = {{5, 6, 3, 4, 4, 4, 2, 1},    {3, 32, 8, 1, 1, 4, 1, 0},
                                  {4, 5, 2, 4, 3, 3, 2, 1},    {70, 16, 1, 16, 16, 4, 2, 1},
                                  {2, 3, 17, 3, 5, 2, 3, 0},   {2, 3, 1, 6, 7, 5, 1, 4},
                                  {3, 24, 16, 16, 12, 4, 2, 1}};

torch::Tensor normal(at::IntArrayRef shape, std::uint64_t seed, torch::ScalarType type) {
  return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::kFloat64).to(type);
}

/// The result, its gradients without a graph and with one, those of a function of these, and of a
/// function of those.
template <typename Convolve>
std::vector<torch::Tensor> differentiate(const torch::Tensor& given, const torch::Tensor& weights,
                                         const Convolve& convolve) {
  const auto x = given.clone().requires_grad_(true);
  const auto weight = weights.clone().requires_grad_(true);
  std::vector<torch::Tensor> results = {convolve(x, weight)};
  auto function = torch::sin(results.front()).sum();
  for (const bool graph : {false, true, true, false}) {
    const auto gradients = torch::autograd::grad({function}, {x, weight}, {},
                                                 /*retain_graph=*/true, /*create_graph=*/graph);
    results.insert(results.end(), gradients.begin(), gradients.end());
    if (graph) {
      function = (gradients[0] * normal(x.sizes(), 3, x.scalar_type())).sum() +
                 (gradients[0].square().sum() + gradients[1].square().sum()) /
                     static_cast<double>(x.numel());
    }
  }
  return results;
}

void expect_as_atens(torch::ScalarType type, double tolerance, ProductLibrary library) {
  for (const auto& c : kCases) {
    SCOPED_TRACE(std::to_string(c.images) + " images, " + std::to_string(c.out) + " channels, " +
                 std::to_string(c.kernel) + "/" + std::to_string(c.stride) + "/" +
                 std::to_string(c.padding) + ", " + name_of(library));
    const ConvolutionOptions options{
        .stride = c.stride, .padding = c.padding, .product = {library, library}};
    const auto x = normal({c.images, c.in, c.height, c.width}, 1, type);
    const auto weight = normal({c.in, c.out, c.kernel, c.kernel}, 2, type);
    const auto compare = [&](const std::vector<torch::Tensor>& actual,
                             const std::vector<torch::Tensor>& expected) {
      for (std::size_t i = 0; i < actual.size(); ++i) {
        ASSERT_EQ(actual[i].sizes(), expected[i].sizes()) << i;
        EXPECT_LE(relative_error(actual[i], expected[i]), tolerance) << i;
      }
    };
    const auto transposed = [&](const auto& a, const auto& b) {
      return at::conv_transpose2d(a, b, {}, c.stride, c.padding);
    };
    const auto plain = [&](const auto& a, const auto& b) {
      return at::conv2d(a, b, {}, c.stride, c.padding);
    };
    compare(differentiate(x, weight,
                          [&](const auto& a, const auto& b) {
                            return transposed_convolution(a, b, options);
                          }),
            differentiate(x, weight, transposed));
    const auto gradient = normal(transposed(x, weight).sizes(), 4, type);
    compare(differentiate(gradient, weight,
                          [&](const auto& a, const auto& b) { return convolution(a, b, options); }),
            differentiate(gradient, weight, plain));
  }
}

TEST(TransposedConvolution, results_and_three_orders_of_gradients_are_atens) {
  for (const auto library : {ProductLibrary::kAten, ProductLibrary::kOneDnn}) {
    if (!is_available(library)) continue;
    expect_as_atens(torch::kFloat64, 1e-13, library);
    expect_as_atens(torch::kFloat32, 2e-5, library);
  }
}

TEST(TransposedConvolution, a_rank_may_have_no_image) {
  const auto x = torch::empty({0, 6, 4, 4}).requires_grad_(true);
  const auto weight = normal({6, 3, 4, 4}, 2, torch::kFloat32).requires_grad_(true);
  const auto y = transposed_convolution(x, weight, {.stride = 2, .padding = 1});
  EXPECT_EQ(y.sizes(), (std::vector<std::int64_t>{0, 3, 8, 8}));
  const auto gradients = torch::autograd::grad({y.sum()}, {x, weight});
  EXPECT_EQ(gradients[0].sizes(), x.sizes());
  EXPECT_EQ(gradients[1].abs().sum().item<float>(), 0);
}

TEST(TransposedConvolution, a_gradient_of_a_size_that_no_image_makes_is_refused) {
  const auto weight = normal({6, 3, 4, 4}, 2, torch::kFloat32);
  const ConvolutionOptions options{.stride = 2, .padding = 0};
  EXPECT_NO_THROW((void)convolution(torch::ones({1, 3, 6, 6}), weight, options));
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{
           {1, 3, 5, 6}, {1, 3, 6, 7}, {1, 3, 3, 6}, {1, 3, 2, 2}, {1, 4, 6, 6}}) {
    EXPECT_THROW((void)convolution(torch::ones(shape), weight, options), c10::Error)
        << at::IntArrayRef(shape);
  }
}

TEST(TransposedConvolution, an_image_has_the_same_bits_on_any_number_of_threads) {
  const auto x = normal({70, 16, 16, 16}, 1, torch::kFloat64).requires_grad_(true);
  const auto weight = normal({16, 3, 4, 4}, 2, torch::kFloat64).requires_grad_(true);
  const auto gradient = normal({70, 3, 32, 32}, 3, torch::kFloat64);
  const auto threads = at::get_num_threads();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const auto y = transposed_convolution(x, weight, {.stride = 2, .padding = 1});
    results.push_back(torch::autograd::grad({y}, {x, weight}, {gradient}));
    results.back().push_back(y.detach());
  }
  at::set_num_threads(threads);
  for (const auto& result : results) {
    EXPECT_TRUE(result[0].equal(results.front()[0]));
    EXPECT_TRUE(result[2].equal(results.front()[2]));
    EXPECT_LE(relative_error(result[1], results.front()[1]), 1e-14);  // a sum over the images
  }
}

}  // namespace
}  // namespace gondola
