#include "launch/benches/checkpoint_bench.hpp"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "data/image_source.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"
#include "launch/benches/noise_file.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_writer.hpp"
#include "trainer/evaluation/evaluate.hpp"

namespace gondola {
namespace {

constexpr ImageShape kShape = {.channels = 1, .height = 8, .width = 8};

/// A model in training and its checkpoints, each of which takes the place of the one before.
class Saved {
 public:
  explicit Saved(const RunConfig& config)
      : trainee_(config, kShape),
        pixels_(read_pixels(*open_source("synthetic:" + std::to_string(config.trainer.batch_size) +
                                             "x" + text_of(kShape),
                                         Split::kTrain, CacheKind::kNone),
                            0, config.trainer.batch_size)),
        ids_(static_cast<std::size_t>(config.trainer.batch_size)),
        mean_image_(torch::zeros({1, kShape.channels, kShape.height, kShape.width},
                                 trainee_.parameters().flat().options().requires_grad(false))),
        learning_rate_(config.optimizer.learning_rate) {
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  void step() { trainee_.step({.view = {.pixels = pixels_}, .ids = ids_}, learning_rate_); }

  void copy() { copy_state(state(), {}, snapshot_); }
  void begin_to_write_copy() {
    writer_.begin([this] { (void)write_checkpoint(folder_.path(), snapshot_, {}); });
  }
  /// Seconds that it took; nothing while it goes on. @throws what the writing threw
  std::optional<double> poll() {
    const auto outcome = writer_.poll();
    if (outcome && outcome->error) std::rethrow_exception(outcome->error);
    return outcome ? std::optional(outcome->seconds) : std::nullopt;
  }
  void write() { (void)write_checkpoint(folder_.path(), view_of(state(), {}), {}); }

  [[nodiscard]] std::size_t state_bytes() const {
    return 3 * trainee_.parameters().flat().nbytes();  // weights and two moments
  }

 private:
  TrainingState state() {
    return {.decoder = trainee_.decoder(),
            .objective = trainee_.objective(),
            .optimizer = trainee_.optimizer(),
            .average = no_average_,
            .mean_image = mean_image_,
            .progress = progress_};
  }

  TemporaryFolder folder_;
  BenchTrainee trainee_;
  torch::Tensor pixels_;
  std::vector<std::int64_t> ids_;
  torch::Tensor mean_image_;
  torch::Tensor no_average_;
  RunProgress progress_;
  double learning_rate_;
  StateSnapshot snapshot_;
  CheckpointWriter writer_;  // last: its thread ends before what it uses goes
};

template <typename F>
double timed(const F& work) {
  const auto start = Clock::now();
  work();
  return seconds_since(start);
}

/// A checkpoint each so many steps: often, for a run.
constexpr int kStretchSteps = 10;

struct StepTimes {
  std::vector<double> without;  ///< Any checkpoint.
  std::vector<double> behind;   ///< Stretches whose checkpoint is written behind the steps.
  std::vector<double> beside;   ///< Those of them beside the copying and writing.
  std::vector<double> waiting;  ///< Stretches whose first step waits for the writing.
};

nlohmann::ordered_json figures_of(const std::vector<double>& seconds,
                                  const std::vector<double>& without) {
  const auto p95 = quantile(seconds, 0.95);
  return {{"steps", seconds.size()},
          {"median", median(seconds)},
          {"p95", p95},
          {"ratio_of_medians", median(seconds) / median(without)},
          {"ratio_of_p95", p95 / quantile(without, 0.95)}};
}

}  // namespace

std::string bench_checkpoint(const RunConfig& config) {
  Saved saved(config);
  const auto step = [&] { saved.step(); };
  step();
  saved.copy();  // makes the memory, once in a run
  StepTimes times;
  std::vector<double> copies;
  std::vector<double> writes;
  for (std::int64_t i = 0; i < config.bench.repeats; ++i) {
    std::optional<double> written;
    for (int k = 0; k < kStretchSteps || !written; ++k) {
      times.behind.push_back(timed([&] {
        if (k == 0) {
          copies.push_back(timed([&] { saved.copy(); }));
          saved.begin_to_write_copy();
        }
        saved.step();
      }));
      if (written) continue;
      times.beside.push_back(times.behind.back());
      written = saved.poll();
    }
    writes.push_back(*written);
    for (int k = 0; k < kStretchSteps; ++k) times.without.push_back(timed(step));
    for (int k = 0; k < kStretchSteps; ++k) {
      times.waiting.push_back(timed([&] {
        if (k == 0) saved.write();
        saved.step();
      }));
    }
  }
  const nlohmann::ordered_json json = {
      {"bench", "checkpoint"},
      {"state_bytes", saved.state_bytes()},
      {"batch_size", config.trainer.batch_size},
      {"threads", at::get_num_threads()},
      {"repeats", config.bench.repeats},
      {"steps_per_checkpoint", kStretchSteps},
      {"copy_seconds", spread(copies)},
      {"write_seconds", spread(writes)},
      {"without", {{"median", median(times.without)}, {"p95", quantile(times.without, 0.95)}}},
      {"behind", figures_of(times.behind, times.without)},
      {"beside", figures_of(times.beside, times.without)},
      {"waiting", figures_of(times.waiting, times.without)}};
  return json.dump();
}

}  // namespace gondola
