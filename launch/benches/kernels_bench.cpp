#include "launch/benches/kernels_bench.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "launch/benches/bench_figures.hpp"
#include "trainer/kernels/loops_for.hpp"
#include "trainer/kernels/matrix_product.hpp"
#include "trainer/kernels/sine_loop_operations.hpp"
#include "trainer/kernels/sine_operations.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kRows = 784;
constexpr std::int64_t kWidth = 256;
constexpr std::int64_t kChannels = 1;
constexpr int kCallsAtOnce = 20;

/// The blocks that all operations work on: images of kRows coordinates.
struct Blocks {
  Blocks(std::int64_t count, torch::Device device)
      : images(count), options(torch::TensorOptions(device).dtype(torch::kFloat32)) {}

  std::int64_t images;
  torch::TensorOptions options;
  std::int64_t rows = images * kRows;
  torch::Tensor x = torch::randn({rows, kWidth}, options);
  torch::Tensor bias = torch::randn({kWidth}, options);
  torch::Tensor of_points = torch::randn({kRows, kWidth}, options);   // p
  torch::Tensor of_images = torch::randn({images, kWidth}, options);  // q
  SineTable p = {.sines = of_points.sin(), .cosines = of_points.cos()};
  SineTable q = {.sines = of_images.sin(), .cosines = of_images.cos()};
  torch::Tensor points = torch::rand({kRows, 2}, options);
  torch::Tensor residual = torch::randn({rows, kChannels}, options);
  torch::Tensor weight = torch::randn({kChannels, kWidth}, options);
  SineTable made = {.sines = torch::empty_like(x), .cosines = torch::empty_like(x)};
  torch::Tensor signs = x.sign();  // a cosine with which gradients can be multiplied forever
  torch::Tensor gradient = torch::randn({rows, kWidth}, options);
  torch::Tensor sums = torch::zeros({kWidth}, options);
  torch::Tensor sums_of_images = torch::zeros({images, kWidth}, options);
  torch::Tensor sums_of_points = torch::zeros({2, kWidth}, options);

  /// p + q of all rows, [B, N, h].
  [[nodiscard]] torch::Tensor angles() const {
    return of_images.unsqueeze(1) + of_points.unsqueeze(0);
  }
};

struct Kernel {
  const char* name;
  std::function<void(const SineOperations&, Blocks&)> ours;
  std::function<void(Blocks&)> by_aten;
};

std::vector<Kernel> kernels() {
  return {{"sine", [](const auto& operations, Blocks& b) { operations.sine(b.x, b.bias, b.made); },
           [](Blocks& b) {
             const auto sum = b.x + b.bias;
             at::sin_out(b.made.sines, sum);
             at::cos_out(b.made.cosines, sum);
           }},
          {"sum_sine",
           [](const auto& operations, Blocks& b) { operations.sum_sine(b.p, b.q, b.made.sines); },
           [](Blocks& b) {
             auto sines = b.made.sines.view({b.images, kRows, kWidth});
             at::sin_out(sines, b.angles());
           }},
          {"slope",
           [](const auto& operations, Blocks& b) { operations.slope(b.signs, b.gradient, b.sums); },
           [](Blocks& b) {
             b.gradient.mul_(b.signs);
             b.sums.add_(b.gradient.sum(0));
           }},
          {"last_slope",
           [](const auto& operations, Blocks& b) {
             operations.last_slope(b.residual, b.weight, b.signs, b.gradient, b.sums);
           },
           [](Blocks& b) {
             at::mm_out(b.gradient, b.residual, b.weight);
             b.gradient.mul_(b.signs);
             b.sums.add_(b.gradient.sum(0));
           }},
          {"first_slope",
           [](const auto& operations, Blocks& b) {
             operations.first_slope(b.points, b.p, b.q, b.gradient, b.sums_of_images,
                                    b.sums_of_points);
           },
           [](Blocks& b) {
             const auto d = b.gradient.view({b.images, kRows, kWidth}) * b.angles().cos();
             b.sums_of_images.add_(d.sum(1));
             b.sums_of_points.addmm_(b.points.t(), d.sum(0));
           }}};
}

/// A GPU is waited for by reading a value.
double seconds_of_a_call(const std::function<void()>& call, const torch::Tensor& made) {
  const auto start = Clock::now();
  for (int i = 0; i < kCallsAtOnce; ++i) call();
  if (made.is_cuda()) (void)made[0].item<float>();
  return seconds_since(start) / kCallsAtOnce;
}

nlohmann::ordered_json measure(const Kernel& kernel, const std::string& set,
                               const SineOperations& operations, Blocks& blocks,
                               std::int64_t repeats) {
  const auto ours = [&] { kernel.ours(operations, blocks); };
  const auto by_aten = [&] { kernel.by_aten(blocks); };
  (void)seconds_of_a_call(ours, blocks.sums);
  (void)seconds_of_a_call(by_aten, blocks.sums);
  std::vector<double> seconds, ratios;
  for (std::int64_t i = 0; i < repeats; ++i) {
    seconds.push_back(seconds_of_a_call(ours, blocks.sums));
    ratios.push_back(seconds_of_a_call(by_aten, blocks.sums) / seconds.back());
  }
  return {{"bench", "kernels"},
          {"kernel", kernel.name},
          {"instruction_set", set},
          {"elements_per_second", static_cast<double>(blocks.x.numel()) / median(seconds)},
          {"ratio_to_aten", spread(ratios)}};
}

}  // namespace

void bench_kernels(const RunConfig& config, torch::Device device,
                   const std::function<void(const std::string&)>& print_line) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  // An image fits a core's cache; a GPU is full of a batch.
  Blocks blocks(device.is_cpu() ? 1 : config.trainer.batch_size, device);
  for (const auto& kernel : kernels()) {
    if (device.is_cuda()) {
      print_line(
          measure(kernel, "cuda", sine_operations(device), blocks, config.bench.repeats).dump());
      continue;
    }
    for (const auto& set : loop_capabilities()) {
      const SineLoopOperations loops(sine_loops_for<float>(set), sine_loops_for<double>(set));
      print_line(measure(kernel, set, loops, blocks, config.bench.repeats).dump());
    }
  }
  if (!device.is_cpu()) return;
  for (const auto library :
       {ProductLibrary::kAten, ProductLibrary::kOneDnn, ProductLibrary::kBf16}) {
    if (!is_available(library)) continue;
    const auto rates = measure_products(library);
    print_line(nlohmann::ordered_json({{"bench", "kernels"},
                                       {"kernel", "matrix product"},
                                       {"library", name_of(library)},
                                       {"gflops_of_rows", rates.rows},
                                       {"gflops_of_sums", rates.sums}})
                   .dump());
  }
}

}  // namespace gondola
