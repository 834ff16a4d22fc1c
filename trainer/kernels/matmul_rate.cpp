#include "trainer/kernels/matmul_rate.hpp"

#include <algorithm>
#include <chrono>

namespace gondola {

double measure_matmul_rate(const torch::TensorOptions& options) {
  constexpr int kRounds = 10;
  constexpr int kProducts = 4;
  using Clock = std::chrono::steady_clock;
  const at::NoGradGuard no_grad;
  const bool on_cpu = options.device().is_cpu();
  const std::int64_t rows = on_cpu ? 784 : 4096;
  const std::int64_t width = on_cpu ? 256 : 4096;
  const auto a = torch::ones({rows, width}, options);
  const auto b = torch::ones({width, width}, options);
  auto product = torch::empty({rows, width}, options);
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    for (int i = 0; i < kProducts; ++i) at::mm_out(product, a, b);
    // A GPU is waited for by reading a value.
    if (!on_cpu) (void)product[0][0].item<double>();
    const std::chrono::duration<double> seconds = Clock::now() - start;
    const auto flop = 2.0 * kProducts * static_cast<double>(rows * width * width);
    best = std::max(best, flop / seconds.count());
  }
  return best;
}

}  // namespace gondola
