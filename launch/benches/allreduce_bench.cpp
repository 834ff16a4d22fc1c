#include "launch/benches/allreduce_bench.hpp"

#include <mpi.h>
#include <torch/types.h>

#include <algorithm>
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

/// Seconds of one of `times` calls on the slowest rank. Collective.
template <typename Call>
double seconds_of(std::int64_t times, Communicator& ranks, const Call& call) {
  ranks.barrier();
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < times; ++i) call();
  const auto own = torch::tensor(seconds_since(start), torch::kFloat64);
  return ranks.all_gather(own).max().item<double>() / static_cast<double>(times);
}

/// How so many bytes are added over so many ranks.
std::string algorithm_of(std::int64_t bytes, int ranks, const MpiCommunicatorOptions& options) {
  if (bytes * ranks <= options.gather_bytes) return "gathered, added in rank order";
  return ranks < options.few_messages_from ? "shares added in rank order"
                                           : "MPI's reduce-scatter and all-gather";
}

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
  constexpr int kMostLog2Bytes = 26;
  const auto largest = torch::zeros({std::int64_t{1} << (kMostLog2Bytes - 2)}, torch::kFloat32);
  const auto bucket = choose_bucket(config.parallel.bucket_bytes, largest, ranks);
  GradientReducer reducer(ranks, bucket.bytes);
  GradientReducer in_largest_buckets(ranks);
  for (const int log2_bytes : {12, 16, 20, 24, kMostLog2Bytes}) {
    const auto bytes = std::int64_t{1} << log2_bytes;
    auto buffer = torch::zeros({bytes / 4}, torch::kFloat32);
    const auto reduce = [&] { (void)reducer.reduce(buffer); };
    const auto reduce_in_largest = [&] { (void)in_largest_buckets.reduce(buffer); };
    const auto reduce_by_mpi = [&] {
      mpi_check(MPI_Allreduce(MPI_IN_PLACE, buffer.mutable_data_ptr(),
                              static_cast<int>(buffer.numel()), MPI_FLOAT, MPI_SUM, mpi.world()),
                "MPI_Allreduce");
    };
    // Small ones are repeated within a measurement, for the clock.
    const auto times = std::clamp<std::int64_t>((std::int64_t{1} << 22) / bytes, 1, 100);
    (void)seconds_of(1, ranks, reduce);
    (void)seconds_of(1, ranks, reduce_in_largest);
    (void)seconds_of(1, ranks, reduce_by_mpi);
    std::vector<double> seconds, ratios, ratios_to_largest;
    for (std::int64_t repeat = 0; repeat < config.bench.repeats; ++repeat) {
      seconds.push_back(seconds_of(times, ranks, reduce));
      ratios_to_largest.push_back(seconds_of(times, ranks, reduce_in_largest) / seconds.back());
      ratios.push_back(seconds_of(times, ranks, reduce_by_mpi) / seconds.back());
    }
    // What each rank has to send and to receive at least.
    const double on_the_bus =
        2.0 * (mpi.size() - 1) / mpi.size() * static_cast<double>(bytes) / median(seconds);
    nlohmann::ordered_json json = {{"bench", "allreduce"},
                                   {"ranks", mpi.size()},
                                   {"bytes", bytes},
                                   {"bucket_bytes", std::min(bytes, bucket.bytes)},
                                   {"algorithm", algorithm_of(bytes, mpi.size(), options)},
                                   {"seconds", spread(seconds)},
                                   {"bus_bytes_per_second", on_the_bus},
                                   {"ratio_to_mpi_allreduce", spread(ratios)}};
    if (bytes > bucket.bytes) json["ratio_to_largest_bucket"] = spread(ratios_to_largest);
    if (mpi.rank() == 0) print_line(json.dump());
  }
  ranks.close();
}

}  // namespace gondola
