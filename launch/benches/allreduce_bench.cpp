#include "launch/benches/allreduce_bench.hpp"

#include <mpi.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "launch/benches/bench_figures.hpp"
#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/gradient_reducer.hpp"
#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

/// Least seconds of a measurement, up to a hundred calls.
constexpr double kMeasurement = 0.01;

/// Seconds after whose measurements larger sums are left out: they would take at least four times
/// as many.
constexpr double kLongEnough = 20;

/// Seconds of one of `times` calls on the slowest rank. Collective.
template <typename Call>
double seconds_of(std::int64_t times, Communicator& ranks, const Call& call) {
  ranks.barrier();
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < times; ++i) call();
  const auto own = torch::tensor(seconds_since(start), torch::kFloat64);
  return ranks.all_gather(own).max().item<double>() / static_cast<double>(times);
}

/// How so many bytes are added.
std::string algorithm_of(std::int64_t bytes, int ranks, bool by_machine,
                         const MpiCommunicatorOptions& options) {
  if (bytes * ranks <= options.gather_bytes) return "gathered, added in rank order";
  if (ranks >= options.few_messages_from) return "MPI's reduce-scatter and all-gather";
  return by_machine ? "shares added machine by machine" : "shares added in rank order";
}

/// Another way to the same sum, timed in turn with the run's own.
struct Rival {
  std::string name;  ///< In the JSON: ratio_to_`name`.
  std::function<void(torch::Tensor&)> reduce;
  std::vector<double> ratios;  ///< Its seconds to the run's own.
};

}  // namespace

void bench_allreduce(const RunConfig& config, const MpiSession& mpi,
                     const std::function<void(const std::string&)>& print_line) {
  if (mpi.size() == 1) {
    throw ConfigError(
        "gondola bench allreduce adds over ranks, and there is one: start it with mpirun -n 2");
  }
  CollectiveProgress progress;
  const MpiCommunicatorOptions options;
  MpiCommunicator ranks(mpi.world(), progress, options);
  MpiCommunicator at_once(mpi.world(), progress, {.ranks_a_node = mpi.size()});
  MpiCommunicator in_few_messages(mpi.world(), progress, {.few_messages_from = 1});
  const bool by_machine = MpiNodes(mpi.world(), options.ranks_a_node).groups.size() > 1;
  constexpr int kMostLog2Bytes = 26;
  const auto largest = torch::zeros({std::int64_t{1} << (kMostLog2Bytes - 2)}, torch::kFloat32);
  const auto bucket = choose_bucket(config.parallel.bucket_bytes, largest, ranks);
  GradientReducer reducer(ranks, bucket.bytes);
  GradientReducer in_largest_buckets(ranks);
  GradientReducer of_all_at_once(at_once, bucket.bytes);
  for (const int log2_bytes : {12, 16, 20, 22, 24, kMostLog2Bytes}) {
    const auto bytes = std::int64_t{1} << log2_bytes;
    std::vector<Rival> rivals = {{"mpi_allreduce",
                                  [&](torch::Tensor& buffer) {
                                    mpi_check(MPI_Allreduce(MPI_IN_PLACE, buffer.mutable_data_ptr(),
                                                            static_cast<int>(buffer.numel()),
                                                            MPI_FLOAT, MPI_SUM, mpi.world()),
                                              "MPI_Allreduce");
                                  },
                                  {}}};
    const bool gathers = bytes * mpi.size() <= options.gather_bytes;
    if (!gathers) {
      rivals.push_back({"reduce_scatter",
                        [&](torch::Tensor& buffer) { in_few_messages.all_reduce_sum(buffer); },
                        {}});
    }
    if (!gathers && by_machine) {
      rivals.push_back({"all_ranks_at_once",
                        [&](torch::Tensor& buffer) { (void)of_all_at_once.reduce(buffer); },
                        {}});
    }
    if (bytes > bucket.bytes && bucket.bytes < kLargestBucket) {
      rivals.push_back({"largest_bucket",
                        [&](torch::Tensor& buffer) { (void)in_largest_buckets.reduce(buffer); },
                        {}});
    }
    auto buffer = torch::zeros({bytes / 4}, torch::kFloat32);
    const auto reduce = [&] { (void)reducer.reduce(buffer); };
    // Short ones are repeated within a measurement, for the clock.
    const auto once = seconds_of(1, ranks, reduce);
    const auto times = std::clamp<std::int64_t>(std::llround(kMeasurement / once), 1, 100);
    for (const auto& rival : rivals) (void)seconds_of(1, ranks, [&] { rival.reduce(buffer); });
    std::vector<double> seconds;
    double spent = 0;  // The same on every rank, as each of the measurements.
    for (std::int64_t repeat = 0; repeat < config.bench.repeats; ++repeat) {
      seconds.push_back(seconds_of(times, ranks, reduce));
      spent += static_cast<double>(times) * seconds.back();
      for (auto& rival : rivals) {
        const auto other = seconds_of(times, ranks, [&] { rival.reduce(buffer); });
        rival.ratios.push_back(other / seconds.back());
        spent += static_cast<double>(times) * other;
      }
    }
    // What each rank has to send and to receive at least.
    const double on_the_bus =
        2.0 * (mpi.size() - 1) / mpi.size() * static_cast<double>(bytes) / median(seconds);
    nlohmann::ordered_json json = {
        {"bench", "allreduce"},
        {"ranks", mpi.size()},
        {"bytes", bytes},
        {"bucket_bytes", std::min(bytes, bucket.bytes)},
        {"algorithm", algorithm_of(bytes, mpi.size(), by_machine, options)},
        {"seconds", spread(seconds)},
        {"bus_bytes_per_second", on_the_bus}};
    for (const auto& rival : rivals) json["ratio_to_" + rival.name] = spread(rival.ratios);
    if (mpi.rank() == 0) print_line(json.dump());
    if (spent > kLongEnough) break;
  }
  ranks.close();
  at_once.close();
  in_few_messages.close();
}

}  // namespace gondola
