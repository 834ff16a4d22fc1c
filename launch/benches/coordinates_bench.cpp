#include "launch/benches/coordinates_bench.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <vector>

#include "configs/errors.hpp"
#include "configs/value_text.hpp"
#include "data/image_source.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"
#include "trainer/coordinates/coordinate_draws.hpp"
#include "trainer/evaluation/evaluate.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kTrainingSteps = 150;
constexpr std::int64_t kDraws = 20;

/// Where the step size is auto, one that does not grow with the image: the published one at 28x28
/// in batches of 64.
RunConfig with_step_size(RunConfig config, const ImageSource& source) {
  if (config.latent.step_size > 0) return config;
  config.latent.step_size =
      784.0 / (64.0 * static_cast<double>(source.channels() * source.height() * source.width()));
  return config;
}

/// A model and the images that it is trained on, all in one batch.
class Bench {
 public:
  Bench(const RunConfig& config, const ImageSource& source)
      : source_(source),
        trainee_(with_step_size(config, source), shape_of(source)),
        ids_(static_cast<std::size_t>(config.trainer.batch_size)) {
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  [[nodiscard]] ImageShape shape() const { return shape_of(source_); }

  /// The gradient of one step with these coordinates; the weights move at the learning rate.
  torch::Tensor gradient(const CoordinatesSection& coordinates, DrawKey key, double rate) {
    const CoordinateDraws draws(coordinates, source_.height(), source_.width(),
                                trainee_.config().run.seed, nullptr);
    const auto& flat = trainee_.parameters().flat();
    trainee_.step({.view = {.pixels = draws.all() ? read_pixels(source_, ids_, draws.pixels(key))
                                                  : read_pixels(source_, ids_),
                            .coordinates = draws.at(key, flat.options().requires_grad(false))},
                   .ids = ids_},
                  rate);
    return trainee_.parameters().flat_gradient().clone();
  }

  void train(const CoordinatesSection& coordinates) {
    for (std::int64_t i = 0; i < kTrainingSteps; ++i) {
      (void)gradient(coordinates, {.batch = i}, trainee_.config().optimizer.learning_rate);
    }
  }

 private:
  const ImageSource& source_;
  BenchTrainee trainee_;
  std::vector<std::int64_t> ids_;
};

CoordinateSet drawn(CoordinateSampler sampler, std::int64_t count) {
  return {.sampler = sampler, .count = count};
}

/// Passes over coordinates that a step costs: 3 + 3 C at each inner one, 3 B at each outer one.
std::int64_t cost_of(const CoordinatesSection& set, std::int64_t channels, std::int64_t batch) {
  return (3 + 3 * channels) * set.inner.count + 3 * batch * set.outer.count;
}

void bench_errors(const RunConfig& config, const ImageSource& source,
                  const std::function<void(const std::string&)>& print_line) {
  const auto channels = source.channels();
  const auto batch = config.trainer.batch_size;
  const auto side = static_cast<std::int64_t>(
      std::sqrt(static_cast<double>(source.height() * source.width())) / 4);
  const auto count = side * side;  // M, a 16th of the pixels
  using S = CoordinateSampler;
  const auto both = [](S sampler, std::int64_t m) {
    return CoordinatesSection{.inner = drawn(sampler, m), .outer = drawn(sampler, m)};
  };
  std::vector<CoordinatesSection> cases = {both(S::kUniform, count), both(S::kStratified, count),
                                           both(S::kSobol, count)};
  // A larger inner set, up to four times, is paid for with outer coordinates: half the cost at
  // most.
  const auto cost = cost_of(cases.back(), channels, batch);
  const auto inner_cost = 3 + 3 * channels;
  const auto more = std::min(4 * count, cost / 2 / inner_cost);
  if (more > count) {
    const auto fewer = (cost - inner_cost * more) / (3 * batch);
    cases.push_back({.inner = drawn(S::kSobol, more), .outer = drawn(S::kSobol, fewer)});
  }

  Bench bench(config, source);
  bench.train(cases.back());
  const auto exact = bench.gradient({}, {}, 0);
  double uniform = 0;
  for (const auto& set : cases) {
    double squares = 0;
    auto mean = torch::zeros_like(exact);
    const auto start = Clock::now();
    for (std::int64_t draw = 0; draw < kDraws; ++draw) {
      const auto gradient = bench.gradient(set, {.batch = 1000000 + draw}, 0);
      squares += ((gradient - exact).square().sum() / exact.square().sum()).item<double>();
      mean += gradient / static_cast<double>(kDraws);
    }
    const auto error = std::sqrt(squares / static_cast<double>(kDraws));
    if (uniform == 0) uniform = error;
    const nlohmann::ordered_json json = {
        {"bench", "coordinates"},
        {"image", text_of(bench.shape())},
        {"batch_size", batch},
        {"inner", to_text(set.inner)},
        {"outer", to_text(set.outer)},
        {"cost_in_passes", cost_of(set, channels, batch)},
        {"step_seconds", seconds_since(start) / static_cast<double>(kDraws)},
        {"gradient_error", error},
        {"error_of_the_mean", ((mean - exact).norm() / exact.norm()).item<double>()},
        {"ratio_to_uniform", error / uniform}};
    print_line(json.dump());
  }
}

void bench_sizes(RunConfig config, const std::function<void(const std::string&)>& print_line) {
  constexpr std::int64_t kCount = 1024;
  config.trainer.batch_size = std::min<std::int64_t>(config.trainer.batch_size, 8);
  const CoordinatesSection set{.inner = drawn(CoordinateSampler::kSobol, kCount),
                               .outer = drawn(CoordinateSampler::kSobol, kCount)};
  const std::vector<std::int64_t> sides = {64, 128, 256, 512, 1024};
  std::vector<std::unique_ptr<ImageSource>> sources;
  std::vector<std::unique_ptr<Bench>> benches;
  for (const auto side : sides) {
    const auto size = std::to_string(side);
    sources.push_back(open_source(
        "synthetic:" + std::to_string(config.trainer.batch_size) + "x1x" + size + "x" + size,
        Split::kTrain, CacheKind::kHost));
    benches.push_back(std::make_unique<Bench>(config, *sources.back()));
    (void)benches.back()->gradient(set, {}, 0);
  }
  std::vector<std::vector<double>> seconds(sides.size());
  for (std::int64_t repeat = 0; repeat < config.bench.repeats; ++repeat) {
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const auto start = Clock::now();
      (void)benches[i]->gradient(set, {.batch = repeat}, 0);
      seconds[i].push_back(seconds_since(start));
    }
  }
  for (std::size_t i = 0; i < sides.size(); ++i) {
    std::vector<double> ratios;
    for (std::size_t repeat = 0; repeat < seconds[i].size(); ++repeat) {
      ratios.push_back(seconds[i][repeat] / seconds[0][repeat]);
    }
    const nlohmann::ordered_json json = {{"bench", "coordinates"},
                                         {"image", text_of(benches[i]->shape())},
                                         {"batch_size", config.trainer.batch_size},
                                         {"inner", to_text(set.inner)},
                                         {"outer", to_text(set.outer)},
                                         {"step_seconds", spread(seconds[i])},
                                         {"ratio_to_64x64", spread(ratios)}};
    print_line(json.dump());
  }
}

}  // namespace

void bench_coordinates(RunConfig config,
                       const std::function<void(const std::string&)>& print_line) {
  if (config.model.decoder != DecoderKind::kSiren) {
    throw ConfigError(
        "gondola bench coordinates is for model.decoder = siren, whose coordinates "
        "can be drawn: leave that option as it is");
  }
  const auto path = config.data.path.empty()
                        ? "synthetic:" + std::to_string(config.trainer.batch_size) + "x1x128x128"
                        : config.data.path;
  const auto source = open_source(path, Split::kTrain, CacheKind::kHost);
  config.trainer.batch_size = std::min(config.trainer.batch_size, source->images());
  bench_errors(config, *source, print_line);
  bench_sizes(config, print_line);
}

}  // namespace gondola
