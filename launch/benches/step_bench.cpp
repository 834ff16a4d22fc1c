#include "launch/benches/step_bench.hpp"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"
#include "launch/benches/reference_step.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/kernels/matmul_rate.hpp"
#include "trainer/model.hpp"
#include "trainer/model_flop.hpp"
#include "trainer/objectives/squared_error.hpp"
#include "trainer/train_step.hpp"

namespace gondola {
namespace {

struct Seconds {
  double wall = 0;
  double cpu = 0;  ///< Of all threads: less disturbed by others on a shared machine.
};

template <typename F>
Seconds timed(const F& work) {
  const auto start = Clock::now();
  const auto cpu_start = std::clock();
  work();
  return {.wall = seconds_since(start),
          .cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC};
}

/// GFLOP in the products of one step of a SIREN: 3 B + 3 + 3 C passes over its N coordinates.
double siren_gflop(const RunConfig& config, const ImageShape& shape) {
  auto whole_grid = config;
  whole_grid.coordinates = {};
  const auto batch = static_cast<double>(config.trainer.batch_size);
  return 1e-9 * flop_per_image(whole_grid, shape) *
         (batch + 1 + static_cast<double>(shape.channels));
}

/// The control is one plain step; what it does not do cannot be compared with it.
void refuse_other_steps(const RunConfig& config) {
  const bool conv = config.model.decoder == DecoderKind::kConv;
  const std::vector<std::pair<bool, std::string>> demands = {
      {config.model.activation == (conv ? ActivationKind::kElu : ActivationKind::kSin),
       conv ? "model.activation = elu" : "model.activation = sin"},
      {!conv || config.model.batch_norm == BatchNormMode::kSync, "model.batch_norm = sync"},
      {config.model.family == Family::kGon, "model.family = gon"},
      {config.latent.spatial == 1, "latent.spatial = 1"},
      {config.latent.steps == 1, "latent.steps = 1"},
      {!config.latent.detach, "latent.detach = false"},
      {config.latent.origin_stddev == 0, "latent.origin_stddev = 0"},
      {config.trainer.precision == Precision::kFloat32 ||
           config.trainer.precision == Precision::kTf32,
       "trainer.precision = float32 or tf32"},
      {config.trainer.accumulate == 1, "trainer.accumulate = 1"}};
  for (const auto& [met, demand] : demands) {
    if (!met) {
      throw ConfigError("gondola bench step compares with a plain step that has " + demand +
                        ": leave that option as it is");
    }
  }
}

}  // namespace

std::string bench_step(const RunConfig& config, const ImageShape& shape, torch::Device device) {
  refuse_other_steps(config);
  const auto batch = config.trainer.batch_size;
  const auto source = open_source("synthetic:" + std::to_string(batch) + "x" + text_of(shape),
                                  Split::kTrain, CacheKind::kNone);
  const auto pixels = read_pixels(*source, 0, batch).to(device);
  const auto images = to_values(pixels, torch::kFloat32, device);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(batch));
  std::iota(ids.begin(), ids.end(), 0);

  BenchTrainee trainee(config, shape, /*ranks=*/nullptr, device);
  auto& parameters = trainee.parameters();
  ReferenceStep reference(config, shape, device);

  auto& decoder = trainee.decoder();
  const MatrixProduct aten;
  const auto chosen = decoder.product();
  const bool same_matmul = chosen.rows() == aten.rows() && chosen.sums() == aten.sums();

  const auto run_own = [&] {
    return timed([&] {
      trainee.step({.view = {.pixels = pixels}, .ids = ids}, config.optimizer.learning_rate);
    });
  };
  const auto run_reference = [&] { return timed([&] { (void)reference.run(images); }); };
  // What a step costs whose latents are given: decode, backward, update.
  auto shape_of_latents = decoder.latent_shape();
  shape_of_latents.insert(shape_of_latents.begin(), batch);
  const auto latents = torch::full(shape_of_latents, 0.01, device);
  auto& gradient = parameters.flat_gradient();
  const auto none = torch::zeros({}, device);
  const auto run_decoder = [&] {
    return timed([&] {
      parameters.zero_gradient();
      const auto loss = squared_error_per_image(decoder.decode(latents, {}), images).sum();
      loss.backward();
      const at::NoGradGuard no_grad;
      trainee.optimizer().step(parameters.flat(), gradient.mul_(0), none, none);
      (void)parameters.flat()[0].item<float>();  // a GPU is done then
    });
  };
  // The same step with the matrix product of the reference.
  const auto run_own_with_aten = [&] {
    decoder.set_product(aten);
    const auto seconds = run_own();
    decoder.set_product(chosen);
    return seconds;
  };

  // A recorded step is rehearsed some times, then recorded.
  for (int i = 0; i < (config.trainer.cuda_graph ? 5 : 1); ++i) run_own();
  run_reference();
  run_decoder();
  (void)trainee.timer().take();
  std::vector<double> own_seconds;
  std::vector<double> ratios;
  std::vector<double> cpu_ratios;
  std::vector<double> ratios_same_matmul;
  std::vector<double> decoder_ratios;
  for (std::int64_t i = 0; i < config.bench.repeats; ++i) {
    const auto own = run_own();
    const auto theirs = run_reference();
    own_seconds.push_back(own.wall);
    ratios.push_back(theirs.wall / own.wall);
    cpu_ratios.push_back(theirs.cpu / own.cpu);
    decoder_ratios.push_back(own.wall / run_decoder().wall);
    ratios_same_matmul.push_back(same_matmul ? ratios.back()
                                             : theirs.wall / run_own_with_aten().wall);
  }

  auto phases = trainee.timer().take();
  nlohmann::ordered_json phase_seconds;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    phase_seconds[kPhaseNames[i]] = phases[i] / static_cast<double>(config.bench.repeats);
  }
  const auto seconds = median(own_seconds);
  const auto sgemm = 1e-9 * measure_matmul_rate(images.options());
  nlohmann::ordered_json json = {
      {"bench", "step"},
      {"decoder", config.model.decoder == DecoderKind::kConv ? "conv" : "siren"},
      {"image", text_of(shape)},
      {"batch_size", batch},
      {"latent", config.latent.size},
      {"device", device.is_cuda() ? "cuda" : "cpu"},
      {"threads", at::get_num_threads()},
      {"repeats", config.bench.repeats},
      {"sgemm_gflops", sgemm},
      {"step_seconds", spread(own_seconds)},
      {"images_per_second", static_cast<double>(batch) / seconds},
      {"phase_seconds", phase_seconds},
      {"ratio_to_double_backward", spread(ratios)},
      {"ratio_of_cpu_seconds", spread(cpu_ratios)},
      {"ratio_same_matmul", spread(ratios_same_matmul)},
      {"step_to_decoder_step", spread(decoder_ratios)},
      {"matmul", name_of(chosen.rows())}};
  if (config.model.decoder == DecoderKind::kSiren) {
    double best = sgemm;
    for (const auto library : {ProductLibrary::kAten, ProductLibrary::kOneDnn}) {
      if (!device.is_cpu() || !is_available(library)) continue;
      const auto rates = measure_products(library);
      json["matmul_gflops"][name_of(library)] = {{"rows", rates.rows}, {"sums", rates.sums}};
      best = std::max({best, rates.rows, rates.sums});
    }
    json["share_of_matmul_rate"] = siren_gflop(config, shape) / seconds / best;
  }
  return json.dump();
}

}  // namespace gondola
