#include "launch/benches/scaling_model_bench.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "launch/benches/bench_figures.hpp"
#include "launch/benches/bench_trainee.hpp"
#include "launch/benches/collective_model.hpp"
#include "launch/benches/collective_recorder.hpp"
#include "launch/benches/noise_steps.hpp"
#include "trainer/model_flop.hpp"
#include "trainer/parallel/agreement.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostRanks = 4096;

RunConfig with_batch(RunConfig config, std::int64_t images) {
  config.trainer.batch_size = images;
  return config;
}

/// Of `call`, on each rank. Collective.
template <typename Call>
torch::Tensor seconds_by_rank(Communicator& ranks, const Call& call) {
  ranks.barrier();
  const auto start = Clock::now();
  call();
  return ranks.all_gather(torch::tensor(seconds_since(start), torch::kFloat64));  // [W]
}

/// How far `call`, in which ranks wait for each other, moves the ranks' clocks on. They enter it
/// one after the other; the mean over ranks does not count that again.
template <typename Call>
double seconds_together(Communicator& ranks, const Call& call) {
  return seconds_by_rank(ranks, call).mean().template item<double>();
}

/// Sums of 64 bytes to at least 1 MiB and to the largest of a step.
std::vector<std::int64_t> sizes_up_to(std::int64_t largest) {
  std::vector<std::int64_t> sizes = {64, 1 << 10, 8 << 10, 32 << 10, 256 << 10, 512 << 10, 1 << 20};
  while (sizes.back() < largest) sizes.push_back(std::min(4 * sizes.back(), largest));
  return sizes;
}

/// What all repeats have shown.
struct Measured {
  std::vector<Collective> of_a_step;
  std::vector<double> compute_seconds;  ///< Of the slowest rank.
  std::vector<double> step_seconds;
  std::vector<TimedCollective> collectives;  ///< Medians.
};

Measured measure(const RunConfig& config, const ImageShape& shape, Communicator& ranks,
                 std::int64_t own_images) {
  CollectiveRecorder recorder(ranks);
  const NoiseImages images(0, own_images, own_images, shape);
  BenchTrainee alone(with_batch(config, own_images), shape);
  BenchTrainee together(config, shape, &recorder);
  const auto rate = config.optimizer.learning_rate;
  const auto compute = [&] { alone.step(images.input(), rate); };
  const auto step = [&] {
    together.step(images.input(), rate);
    (void)agree(recorder, {});  // as the training loop does after each step
  };
  compute();
  step();
  (void)recorder.take();
  Measured result;
  step();
  result.of_a_step = recorder.take();
  std::int64_t largest = 0;
  for (const auto& [kind, bytes] : result.of_a_step) {
    if (kind == Collective::Kind::kSum) largest = std::max(largest, bytes);
  }

  std::vector<Collective> measured;
  for (const auto bytes : sizes_up_to(largest)) {
    measured.push_back({.kind = Collective::Kind::kSum, .bytes = bytes});
  }
  std::vector<std::vector<double>> seconds(measured.size());
  for (std::int64_t repeat = -1; repeat < config.bench.repeats; ++repeat) {  // -1: to warm up
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const auto slowest = seconds_by_rank(ranks, compute).max().item<double>();
      auto buffer = torch::zeros({measured[i].bytes / 4}, torch::kFloat32);
      const auto call = seconds_together(ranks, [&] { ranks.all_reduce_sum(buffer); });
      const auto whole = seconds_together(ranks, step);
      if (repeat < 0) continue;
      result.compute_seconds.push_back(slowest);
      seconds[i].push_back(call);
      result.step_seconds.push_back(whole);
    }
  }
  for (std::size_t i = 0; i < measured.size(); ++i) {
    result.collectives.push_back({.collective = measured[i], .seconds = median(seconds[i])});
  }
  return result;
}

const char* name_of(Collective::Kind kind) {
  switch (kind) {
    case Collective::Kind::kBarrier:
      return "barrier";
    case Collective::Kind::kSum:
      return "sum";
    case Collective::Kind::kIntegerSum:
      return "integer_sum";
    case Collective::Kind::kBroadcast:
      return "broadcast";
    case Collective::Kind::kGather:
      return "gather";
  }
  return "";
}

Json json_of(const MessageCost::Line& line) {
  Json bandwidth = nullptr;  // too fast to be seen
  if (line.seconds_per_byte > 0) bandwidth = 1 / line.seconds_per_byte;
  return {{"latency_seconds", line.latency_seconds}, {"bytes_per_second", bandwidth}};
}

Json json_of_fit(const Measured& measured, const MessageCost& cost, std::int64_t ranks) {
  Json points = Json::array();
  double worst = 0;
  for (const auto& [collective, seconds] : measured.collectives) {
    const auto fitted = cost.seconds(collective, ranks);
    worst = std::max(worst, std::abs(fitted / seconds - 1));
    points.push_back(
        {{"bytes", collective.bytes}, {"seconds", seconds}, {"fitted_seconds", fitted}});
  }
  return {{"bench", "scaling-model"},
          {"what", "fit"},
          {"ranks", ranks},
          {"short_message_bytes", MessageCost::kShortBytes},
          {"short", json_of(cost.small)},
          {"long", json_of(cost.large)},
          {"worst_relative_error", worst},
          {"points", points}};
}

double seconds_of(std::span<const Collective> collectives, const MessageCost& cost,
                  std::int64_t ranks) {
  double sum = 0;
  for (const auto& collective : collectives) sum += cost.seconds(collective, ranks);
  return sum;
}

/// Equal ones are told once.
Json json_of_collectives(std::span<const Collective> collectives) {
  std::vector<std::pair<Collective, int>> counted;
  for (const auto& collective : collectives) {
    const auto known = std::ranges::find(counted, collective, &std::pair<Collective, int>::first);
    if (known == counted.end()) {
      counted.emplace_back(collective, 1);
    } else {
      ++known->second;
    }
  }
  Json json = Json::array();
  for (const auto& [collective, times] : counted) {
    json.push_back(
        {{"name", name_of(collective.kind)}, {"bytes", collective.bytes}, {"times", times}});
  }
  return json;
}

}  // namespace

void bench_scaling_model(const RunConfig& options, const ImageShape& shape, const MpiSession& mpi,
                         const std::function<void(const std::string&)>& print_line) {
  require_noise_steps(options, shape, mpi, "gondola bench scaling-model");
  auto config = options;
  config.parallel.overlap = Overlap::kOff;  // a step is its work and then its messages
  CollectiveProgress progress;
  MpiCommunicator ranks(mpi.world(), progress);
  const auto print = [&](const Json& json) {
    if (mpi.rank() == 0) print_line(json.dump());
  };
  const auto batch = config.trainer.batch_size;
  const std::int64_t world = mpi.size();
  const std::int64_t own = (mpi.rank() + 1) * batch / world - mpi.rank() * batch / world;
  const auto measured = measure(config, shape, ranks, own);
  const auto cost = fit_message_cost(measured.collectives, world);
  print(json_of_fit(measured, cost, world));

  const double images_a_rank = static_cast<double>(batch) / static_cast<double>(world);
  const auto flop = flop_per_image(config, shape) * images_a_rank;
  const auto compute = median(measured.compute_seconds);
  const auto predicted = compute + seconds_of(measured.of_a_step, cost, world);
  const auto seen = median(measured.step_seconds);
  print({{"bench", "scaling-model"},
         {"what", "step"},
         {"ranks", world},
         {"decoder", config.model.decoder == DecoderKind::kConv ? "conv" : "siren"},
         {"image", text_of(shape)},
         {"batch_size", batch},
         {"repeats", config.bench.repeats},
         {"flop_of_a_rank", flop},
         {"flop_per_second", flop / compute},
         {"compute_seconds", spread(measured.compute_seconds)},
         {"collectives", json_of_collectives(measured.of_a_step)},
         {"predicted_seconds", predicted},
         {"measured_seconds", spread(measured.step_seconds)},
         {"predicted_to_measured", predicted / seen}});

  // A rank's work of the given size, at the speed that was measured.
  const auto given = config.bench.step_flop;
  const double work = given > 0 ? compute * given / flop : compute;
  for (std::int64_t count = 1; count <= kMostRanks; count *= 2) {
    const auto talk = count == 1 ? 0 : seconds_of(measured.of_a_step, cost, count);
    const auto times = static_cast<double>(count);
    Json json = {{"bench", "scaling-model"},
                 {"what", "prediction"},
                 {"ranks", count},
                 {"communication_seconds", talk},
                 {"weak", {{"step_seconds", work + talk}, {"efficiency", work / (work + talk)}}}};
    if (count <= batch) {
      const auto all = work * static_cast<double>(world);  // one rank with all images
      const auto step = all / times + talk;
      json["strong"] = {{"step_seconds", step}, {"efficiency", all / (times * step)}};
    }
    print(json);
  }
  ranks.close();
}

}  // namespace gondola
