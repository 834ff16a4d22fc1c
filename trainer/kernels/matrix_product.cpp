#include "trainer/kernels/matrix_product.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace gondola {
namespace {

std::optional<c10::OperatorHandle> onednn_linear() {
  static const auto handle =
      c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  return handle;
}

bool onednn_takes(const torch::Tensor& a) {
  return a.scalar_type() == torch::kFloat32 && a.is_cpu();
}

/// a [n, k] weight [m, k]^T -> [n, m]
torch::Tensor onednn_product(const torch::Tensor& a, const torch::Tensor& weight) {
  std::vector<c10::IValue> stack = {
      a, weight, c10::IValue(), "none", c10::List<std::optional<at::Scalar>>(), ""};
  onednn_linear()->callBoxed(&stack);
  return std::move(stack.front()).toTensor();
}

torch::Tensor rounded(const torch::Tensor& x) { return x.to(torch::kBFloat16); }

template <typename F>
double best_gflops(double flops, const F& product) {
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    const auto start = std::chrono::steady_clock::now();
    product();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, flops / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace

std::string name_of(ProductLibrary library) {
  switch (library) {
    case ProductLibrary::kAten:
      return "aten";
    case ProductLibrary::kOneDnn:
      return "onednn";
    case ProductLibrary::kBf16:
      return "bf16";
  }
  TORCH_CHECK(false, "no such library");
}

bool is_available(ProductLibrary library) {
  if (library != ProductLibrary::kOneDnn) return true;
  return at::globalContext().hasMKLDNN() && onednn_linear().has_value();
}

torch::Tensor MatrixProduct::multiply(const torch::Tensor& a, const torch::Tensor& weight,
                                      torch::Tensor space) const {
  if (rows_ == ProductLibrary::kOneDnn && onednn_takes(a)) {
    return onednn_product(a, weight);
  }
  if (rows_ == ProductLibrary::kBf16 && a.scalar_type() == torch::kFloat32) {
    return space.copy_(rounded(a).mm(rounded(weight).t()));
  }
  at::mm_out(space, a, weight.t());
  return space;
}

void MatrixProduct::add_outer(const torch::Tensor& a, const torch::Tensor& b,
                              torch::Tensor& sum) const {
  if (sums_ == ProductLibrary::kOneDnn && onednn_takes(a)) {
    sum.add_(onednn_product(a.t(), b.t()));
    return;
  }
  if (sums_ == ProductLibrary::kBf16 && a.scalar_type() == torch::kFloat32) {
    sum.add_(rounded(a).t().mm(rounded(b)));
    return;
  }
  sum.addmm_(a.t(), b);
}

ProductLibrary faster_library(const ProductShape& shape) {
  constexpr int kTurns = 5;  // so that what else runs here for some ms is in the way of both
  if (!is_available(ProductLibrary::kOneDnn)) return ProductLibrary::kAten;
  ProductRates onednn, aten;
  const auto measure = [&](ProductLibrary library, ProductRates& best) {
    const auto rates = measure_products(library, shape);
    best = {.rows = std::max(best.rows, rates.rows), .sums = std::max(best.sums, rates.sums)};
  };
  for (int i = 0; i < kTurns; ++i) {
    measure(ProductLibrary::kOneDnn, onednn);
    measure(ProductLibrary::kAten, aten);
  }
  const auto time = [](const ProductRates& rates) { return 2 / rates.rows + 1 / rates.sums; };
  return time(onednn) < 0.9 * time(aten) ? ProductLibrary::kOneDnn : ProductLibrary::kAten;
}

ProductRates measure_products(ProductLibrary library, const ProductShape& shape) {
  const auto flops = 2.0 * static_cast<double>(shape.rows * shape.in * shape.out);
  const at::NoGradGuard no_grad;
  const auto a = torch::ones({shape.rows, shape.in}, torch::kFloat32);
  const auto weight = torch::ones({shape.out, shape.in}, torch::kFloat32);
  const auto space = torch::empty({shape.rows, shape.out}, torch::kFloat32);
  const auto gradient = torch::ones_like(space);
  auto sum = torch::zeros({shape.in, shape.out}, torch::kFloat32);
  const MatrixProduct product(library, library);
  return {.rows = best_gflops(flops, [&] { (void)product.multiply(a, weight, space); }),
          .sums = best_gflops(flops, [&] { product.add_outer(a, gradient, sum); })};
}

}  // namespace gondola
