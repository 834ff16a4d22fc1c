#include "launch/benches/kernels_bench.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "launch/benches/bench_figures.hpp"
#include "trainer/kernels/loops_for.hpp"
#include "trainer/kernels/matrix_product.hpp"
#include "trainer/kernels/sine_loops.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kRows = 784;
constexpr std::int64_t kWidth = 256;
constexpr std::int64_t kChannels = 1;
constexpr int kCallsAtOnce = 20;

/// The blocks that all loops work on.
struct Blocks {
  torch::Tensor x = torch::randn({kRows, kWidth});
  torch::Tensor bias = torch::randn({kWidth});
  torch::Tensor sin_p = x.sin(), cos_p = x.cos();
  torch::Tensor sin_q = bias.sin(), cos_q = bias.cos();
  torch::Tensor points = torch::rand({kRows, 2});
  torch::Tensor residual = torch::randn({kRows, kChannels});
  torch::Tensor weight = torch::randn({kChannels, kWidth});
  torch::Tensor sine = torch::empty_like(x), cosine = torch::empty_like(x);
  torch::Tensor signs = x.sign();  // a cosine with which gradients can be multiplied forever
  torch::Tensor gradient = torch::randn({kRows, kWidth});
  torch::Tensor sums = torch::zeros({3, kWidth});
};

float* data(const torch::Tensor& tensor) { return tensor.data_ptr<float>(); }

struct Kernel {
  const char* name;
  std::function<void(const SineLoops<float>&, Blocks&)> ours;
  std::function<void(Blocks&)> by_aten;
};

std::vector<Kernel> kernels() {
  return {
      {"sine",
       [](const auto& loops, Blocks& b) {
         loops.sine(kRows, kWidth, data(b.bias), data(b.x), data(b.sine), data(b.cosine));
       },
       [](Blocks& b) {
         const auto sum = b.x + b.bias;
         at::sin_out(b.sine, sum);
         at::cos_out(b.cosine, sum);
       }},
      {"sum_sine",
       [](const auto& loops, Blocks& b) {
         loops.sum_sine(kRows, kWidth, data(b.sin_p), data(b.cos_p), data(b.sin_q), data(b.cos_q),
                        data(b.sine));
       },
       [](Blocks& b) { at::sin_out(b.sine, b.x + b.bias); }},
      {"slope",
       [](const auto& loops, Blocks& b) {
         loops.slope(kRows, kWidth, data(b.signs), data(b.gradient), data(b.sums));
       },
       [](Blocks& b) {
         b.gradient.mul_(b.signs);
         b.sums[0].add_(b.gradient.sum(0));
       }},
      {"last_slope",
       [](const auto& loops, Blocks& b) {
         loops.last_slope(kRows, kWidth, kChannels, data(b.residual), data(b.weight), data(b.cos_p),
                          data(b.gradient), data(b.sums));
       },
       [](Blocks& b) {
         at::mm_out(b.gradient, b.residual, b.weight);
         b.gradient.mul_(b.cos_p);
         b.sums[0].add_(b.gradient.sum(0));
       }},
      {"first_slope",
       [](const auto& loops, Blocks& b) {
         loops.first_slope(kRows, kWidth, data(b.points), data(b.sin_p), data(b.cos_p),
                           data(b.sin_q), data(b.cos_q), data(b.gradient), data(b.sums));
       },
       [](Blocks& b) {
         const auto d = b.gradient * (b.x + b.bias).cos();
         b.sums[0].add_(d.sum(0));
         b.sums.narrow(0, 1, 2).addmm_(b.points.t(), d);
       }},
  };
}

double seconds_of_a_call(const std::function<void()>& call) {
  const auto start = Clock::now();
  for (int i = 0; i < kCallsAtOnce; ++i) call();
  return seconds_since(start) / kCallsAtOnce;
}

nlohmann::ordered_json measure(const Kernel& kernel, const std::string& set, std::int64_t repeats) {
  Blocks blocks;
  const auto& loops = sine_loops_for<float>(set);
  const auto ours = [&] { kernel.ours(loops, blocks); };
  const auto by_aten = [&] { kernel.by_aten(blocks); };
  ours();
  by_aten();
  std::vector<double> seconds, ratios;
  for (std::int64_t i = 0; i < repeats; ++i) {
    seconds.push_back(seconds_of_a_call(ours));
    ratios.push_back(seconds_of_a_call(by_aten) / seconds.back());
  }
  return {{"bench", "kernels"},
          {"kernel", kernel.name},
          {"instruction_set", set},
          {"elements_per_second", static_cast<double>(kRows * kWidth) / median(seconds)},
          {"ratio_to_aten", spread(ratios)}};
}

}  // namespace

void bench_kernels(const RunConfig& config,
                   const std::function<void(const std::string&)>& print_line) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  for (const auto& kernel : kernels()) {
    for (const auto& set : loop_capabilities()) {
      print_line(measure(kernel, set, config.bench.repeats).dump());
    }
  }
  for (const auto library : {ProductLibrary::kAten, ProductLibrary::kOneDnn}) {
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
