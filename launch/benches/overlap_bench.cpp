#include "launch/benches/overlap_bench.hpp"

#include <torch/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/batch_loader.hpp"
#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"
#include "launch/benches/gradient_clock.hpp"
#include "launch/benches/noise_steps.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

/// Of one step, on the slowest rank.
struct Seconds {
  double step = 0;
  double all_reduce = 0;  ///< Of the gradient and of what else is added for it.
  double gradient = 0;    ///< Of the gradient alone.
};

RunConfig with(RunConfig config, Overlap overlap) {
  config.parallel.overlap = overlap;
  return config;
}

}  // namespace

void bench_overlap(const RunConfig& config, const ImageShape& shape, const MpiSession& mpi,
                   const std::function<void(const std::string&)>& print_line) {
  require_noise_steps(config, shape, mpi, "gondola bench overlap");
  CollectiveProgress progress;
  MpiCommunicator ranks(mpi.world(), progress);
  GradientClock clock(ranks);
  BenchTrainee overlapped(with(config, Overlap::kAuto), shape, &clock);
  BenchTrainee whole(with(config, Overlap::kOff), shape, &clock);
  clock.look_for({overlapped.parameters().flat_gradient(), whole.parameters().flat_gradient()});
  const auto sums = overlapped.decoder().origin_sums(0, config.trainer.batch_size);
  if (!overlapped.overlaps()) {
    throw ConfigError(
        "steps of this model do not overlap their all-reduce: either its latents are not those of "
        "one step from an origin that all images share, or the " +
        std::to_string(sums) + " sums that this takes are more than a quarter of its " +
        std::to_string(overlapped.parameters().flat().numel()) +
        " parameters, for which a larger --model.hidden or --model.filters, or a smaller "
        "--latent.size, is the cure");
  }

  const auto slice = slice_of(config.trainer.batch_size, mpi.rank(), mpi.size());
  const NoiseImages images(slice.begin, slice.size(), config.trainer.batch_size, shape);
  const auto run = [&](BenchTrainee& trainee) {
    ranks.barrier();
    (void)trainee.timer().take();
    (void)clock.take();
    const auto start = Clock::now();
    trainee.step(images.input(), config.optimizer.learning_rate);
    const auto seconds = seconds_since(start);
    const auto phases = trainee.timer().take();
    const auto own =
        torch::tensor({seconds, phases[static_cast<std::size_t>(Phase::kAllReduce)], clock.take()},
                      torch::kFloat64);
    const auto slowest = ranks.all_gather(own).amax(0);  // [3]
    return Seconds{.step = slowest[0].item<double>(),
                   .all_reduce = slowest[1].item<double>(),
                   .gradient = slowest[2].item<double>()};
  };
  (void)run(overlapped);
  (void)run(whole);
  std::vector<double> waited, waited_whole, hidden, hidden_gradient, step, ratio;
  for (std::int64_t i = 0; i < config.bench.repeats; ++i) {
    const auto a = run(overlapped);
    const auto b = run(whole);
    waited.push_back(a.all_reduce);
    waited_whole.push_back(b.all_reduce);
    hidden.push_back(1 - a.all_reduce / b.all_reduce);
    hidden_gradient.push_back(1 - a.gradient / b.gradient);
    step.push_back(a.step);
    ratio.push_back(b.step / a.step);
  }
  const auto element = static_cast<std::int64_t>(overlapped.parameters().flat().element_size());
  const nlohmann::ordered_json json = {
      {"bench", "overlap"},
      {"ranks", mpi.size()},
      {"decoder", config.model.decoder == DecoderKind::kConv ? "conv" : "siren"},
      {"image", text_of(shape)},
      {"batch_size", config.trainer.batch_size},
      {"repeats", config.bench.repeats},
      {"gradient_bytes", static_cast<std::int64_t>(overlapped.parameters().flat().nbytes())},
      {"sums_bytes", sums * element},
      {"all_reduce_seconds", spread(waited)},
      {"all_reduce_seconds_as_a_whole", spread(waited_whole)},
      {"hidden_share", spread(hidden)},
      {"hidden_share_of_gradient", spread(hidden_gradient)},
      {"step_seconds", spread(step)},
      {"ratio_to_step_as_a_whole", spread(ratio)}};
  if (mpi.rank() == 0) print_line(json.dump());
  ranks.close();
}

}  // namespace gondola
