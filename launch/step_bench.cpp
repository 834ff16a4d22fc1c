#include "launch/step_bench.hpp"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "data/image_source.hpp"
#include "launch/bench_figures.hpp"
#include "launch/one_rank.hpp"
#include "launch/reference_step.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/model.hpp"
#include "trainer/train_step.hpp"

namespace gondola {
namespace {

/// GFLOP/s of ATen's float32 product of the SIREN's shape, 784x256x256: best of several.
double sgemm_gflops() {
  const auto a = torch::rand({784, 256});
  const auto b = torch::rand({256, 256});
  auto c = torch::empty({784, 256});
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const auto start = Clock::now();
    for (int k = 0; k < 10; ++k) at::mm_out(c, a, b);
    best = std::max(best, 10 * 2e-9 * 784 * 256 * 256 / seconds_since(start));
  }
  return best;
}

/// The control is one plain step; what it does not do cannot be compared with it.
void refuse_other_steps(const RunConfig& config) {
  const bool conv = config.model.decoder == DecoderKind::kConv;
  const std::vector<std::pair<bool, std::string>> demands = {
      {config.model.activation == (conv ? ActivationKind::kElu : ActivationKind::kSin),
       conv ? "model.activation = elu" : "model.activation = sin"},
      {!conv || config.model.batch_norm == BatchNormMode::kSync, "model.batch_norm = sync"},
      {config.latent.spatial == 1, "latent.spatial = 1"},
      {config.latent.steps == 1, "latent.steps = 1"},
      {!config.latent.detach, "latent.detach = false"},
      {config.latent.origin_stddev == 0, "latent.origin_stddev = 0"},
      {config.trainer.precision == Precision::kFloat32, "trainer.precision = float32"},
      {config.trainer.accumulate == 1, "trainer.accumulate = 1"}};
  for (const auto& [met, demand] : demands) {
    if (!met) {
      throw ConfigError("gondola bench step compares with a plain step that has " + demand +
                        ": leave that option as it is");
    }
  }
}

}  // namespace

std::string bench_step(const RunConfig& config, const ImageShape& shape) {
  refuse_other_steps(config);
  const auto batch = config.trainer.batch_size;
  const auto source = open_source("synthetic:" + std::to_string(batch) + "x" + image_text(shape),
                                  Split::kTrain, CacheKind::kNone);
  const auto pixels = read_pixels(*source, 0, batch);
  const auto images = to_values(pixels, torch::kFloat32, torch::kCPU);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(batch));
  std::iota(ids.begin(), ids.end(), 0);

  OneRank one;
  const CollectiveProgress progress;
  PhaseTimer timer(progress);
  const auto decoder = make_decoder(config, shape, torch::kCPU, &one);
  FlatAdam optimizer(config.optimizer, decoder->parameters().flat().numel(),
                     decoder->parameters().flat().options());
  torch::Tensor no_average;
  TrainStep step(config, shape,
                 {.decoder = *decoder, .optimizer = optimizer, .average = no_average}, one, timer);
  ReferenceStep reference(config, shape);

  std::vector<double> own_seconds;
  std::vector<double> ratios;
  std::int64_t number = 0;
  const auto run_own = [&] {
    const auto start = Clock::now();
    (void)step.run(pixels, ids, ++number, config.optimizer.learning_rate).sums.sum().item<double>();
    return seconds_since(start);
  };
  const auto run_reference = [&] {
    const auto start = Clock::now();
    (void)reference.run(images);
    return seconds_since(start);
  };
  run_own();
  run_reference();
  (void)timer.take();
  for (std::int64_t i = 0; i < config.bench.repeats; ++i) {
    own_seconds.push_back(run_own());
    ratios.push_back(run_reference() / own_seconds.back());
  }

  auto phases = timer.take();
  nlohmann::ordered_json phase_seconds;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    phase_seconds[kPhaseNames[i]] = phases[i] / static_cast<double>(config.bench.repeats);
  }
  const auto seconds = median(own_seconds);
  const nlohmann::ordered_json json = {
      {"bench", "step"},
      {"decoder", config.model.decoder == DecoderKind::kConv ? "conv" : "siren"},
      {"image", image_text(shape)},
      {"batch_size", batch},
      {"latent", config.latent.size},
      {"threads", at::get_num_threads()},
      {"repeats", config.bench.repeats},
      {"sgemm_gflops", sgemm_gflops()},
      {"step_seconds", spread(own_seconds)},
      {"images_per_second", static_cast<double>(batch) / seconds},
      {"phase_seconds", phase_seconds},
      {"ratio_to_double_backward", spread(ratios)},
      {"ratio_same_matmul", spread(ratios)}};
  return json.dump();
}

}  // namespace gondola
