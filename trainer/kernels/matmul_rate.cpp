#include "trainer/kernels/matmul_rate.hpp"

#include <algorithm>
#include <chrono>

#include "trainer/kernels/matrix_product.hpp"

namespace gondola {

namespace {

using Clock = std::chrono::steady_clock;

/// Of products of [rows, width] by [width, width], which `products` makes and counts.
template <typename F>
double best_rate(std::int64_t rows, std::int64_t width, const F& products) {
  constexpr int kRounds = 10;
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    const auto flop = 2.0 * products() * static_cast<double>(rows * width * width);
    const std::chrono::duration<double> seconds = Clock::now() - start;
    best = std::max(best, flop / seconds.count());
  }
  return best;
}

}  // namespace

double measure_matmul_rate(const torch::TensorOptions& options) {
  constexpr int kProducts = 4;
  const at::NoGradGuard no_grad;
  const bool on_cpu = options.device().is_cpu();
  const std::int64_t rows = on_cpu ? 784 : 4096;
  const std::int64_t width = on_cpu ? 256 : 4096;
  const auto a = torch::ones({rows, width}, options);
  const auto weight = torch::ones({width, width}, options);
  auto space = torch::empty({rows, width}, options);
  const double of_aten = best_rate(rows, width, [&] {
    for (int i = 0; i < kProducts; ++i) at::mm_out(space, a, weight);
    // A GPU is waited for by reading a value.
    if (!on_cpu) (void)space[0][0].item<double>();
    return kProducts;
  });
  const bool has_choice = on_cpu && space.scalar_type() == torch::kFloat32;
  if (!has_choice || !is_available(ProductLibrary::kOneDnn)) return of_aten;
  const MatrixProduct onednn(ProductLibrary::kOneDnn, ProductLibrary::kOneDnn);
  const double of_onednn = best_rate(rows, width, [&] {
    for (int i = 0; i < kProducts; ++i) (void)onednn.multiply(a, weight, space);
    return kProducts;
  });
  return std::max(of_aten, of_onednn);
}

}  // namespace gondola
