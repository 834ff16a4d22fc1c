// What the ranks of a run tell each other besides gradients, at any number of ranks:
//
//   control_plane TIMES
//
// makes the MPI calls of compare_over_ranks(), gather_endpoints(), agree(), TrainingLoop::report()
// and CheckpointSaver, with their sizes, without libtorch, so that many ranks fit on a small
// machine. Checks what comes of them, and prints one JSON object: the seconds on the slowest rank,
// medians of TIMES.

#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "trainer/parallel/rank_names.hpp"
#include "trainer/step_report.hpp"

namespace gondola {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kGatherBytes = 256 * 1024;  // as MpiCommunicatorOptions
constexpr std::size_t kEndpointBytes = 516;        // an entry of gather_endpoints()
constexpr std::size_t kLosses = 3;                 // sums in a report besides the table of phases

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void demand(bool met, const std::string& what) {
  if (!met) throw std::runtime_error(what);
}

/// The ranks of MPI_COMM_WORLD.
struct World {
  int rank = 0;
  int size = 1;
  World() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
  }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(size); }
  [[nodiscard]] bool last() const { return rank == size - 1; }
};

double on_slowest(double seconds) {
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

template <typename Value>
std::vector<Value> gather(const World& world, const std::vector<Value>& mine) {
  std::vector<Value> all(world.ranks() * mine.size());  // [W, n]
  const int bytes = static_cast<int>(mine.size() * sizeof(Value));
  MPI_Allgather(mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, MPI_COMM_WORLD);
  return all;
}

/// compare_over_ranks(): the ranks that have another value of the thing, as every rank finds them.
std::vector<int> compare(const World& world, const std::vector<std::uint64_t>& things) {
  const auto all = gather(world, things);
  std::vector<int> odd;
  for (std::size_t i = 0; i < things.size(); ++i) {
    std::vector<std::uint64_t> hashes;
    for (std::size_t r = 0; r < world.ranks(); ++r) hashes.push_back(all[r * things.size() + i]);
    if (!std::equal(hashes.begin() + 1, hashes.end(), hashes.begin())) {
      odd = outside_majority(hashes);
    }
  }
  return odd;
}

/// agree(): how many ranks say each.
std::array<std::int64_t, 3> vote(std::array<std::int64_t, 3> said) {
  MPI_Allreduce(MPI_IN_PLACE, said.data(), 3, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  return said;
}

/// MpiCommunicator::all_reduce_sum() of a tensor that is gathered and added in rank order.
std::vector<double> sum(const World& world, std::vector<double> mine) {
  demand(static_cast<std::int64_t>(mine.size() * sizeof(double)) * world.size <= kGatherBytes,
         "a report of so many ranks is summed in another way: start fewer");
  const auto all = gather(world, mine);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    mine[i] = all[i];
    for (std::size_t r = 1; r < world.ranks(); ++r) mine[i] += all[r * mine.size() + i];
  }
  return mine;
}

/// What is compared before the images are opened, and then of them. The last rank may differ.
void start_up(const World& world, bool differs) {
  const auto odd = compare(world, {1, differs && world.last() ? 3U : 2U});
  demand(compare(world, {4, 5, 6}).empty(), "equal hashes differ");
  if (!differs) return demand(odd.empty(), "equal hashes differ");
  std::vector<int> expected = {world.size - 1};
  if (world.size == 2) expected = {0, 1};
  demand(odd == expected, "the rank that differs is not found, but " + name_ranks(odd));
}

void endpoints(const World& world) {
  const auto all =
      gather(world, std::vector<char>(kEndpointBytes, static_cast<char>(world.rank + 1)));
  for (std::size_t r = 0; r < world.ranks(); ++r) {
    demand(all[r * kEndpointBytes] == static_cast<char>(r + 1), "an endpoint is another rank's");
  }
}

void stop_vote(const World& world) {
  const auto said = vote({world.last() ? 1 : 0, 0, 0});
  demand(said == std::array<std::int64_t, 3>{1, 0, 0}, "the wish to stop is not heard");
}

void metrics(const World& world) {
  const auto phases = kPhaseNames.size();
  std::vector<double> mine(kLosses + world.ranks() * phases);
  for (std::size_t i = 0; i < kLosses; ++i) mine[i] = 1;
  const auto row = kLosses + static_cast<std::size_t>(world.rank) * phases;
  for (std::size_t i = 0; i < phases; ++i) mine[row + i] = world.rank + 1;
  const auto all = sum(world, mine);
  demand(all[0] == world.size, "the losses are not added up");
  for (std::size_t r = 0; r < world.ranks(); ++r) {
    demand(all[kLosses + r * phases] == static_cast<double>(r + 1), "a rank's seconds are lost");
  }
}

/// Whether the weights are finite, and then whether rank 0 has written them.
void commit(const World& world) {
  std::int64_t broken = 0;
  MPI_Allreduce(MPI_IN_PLACE, &broken, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  demand(broken == 0, "finite weights are not");
  demand(vote({0, world.rank == 0 ? 1 : 0, 0})[1] == 1, "the checkpoint is not heard of");
}

double median_seconds(int times, const std::function<void()>& call) {
  call();  // connects ranks that have not talked yet
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const auto start = Clock::now();
    call();
    seconds.push_back(on_slowest(seconds_since(start)));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

void run(int times, double init_seconds) {
  const World world;
  demand(world.size > 1, "one rank tells nobody anything: start it with mpirun -n 2");
  start_up(world, /*differs=*/true);
  const nlohmann::ordered_json json = {
      {"ranks", world.size},
      {"times", times},
      {"mpi_init_seconds", on_slowest(init_seconds)},
      {"barrier_seconds", median_seconds(times, [] { MPI_Barrier(MPI_COMM_WORLD); })},
      {"start_up_seconds", median_seconds(times, [&] { start_up(world, /*differs=*/false); })},
      {"endpoints_seconds", median_seconds(times, [&] { endpoints(world); })},
      {"stop_vote_seconds", median_seconds(times, [&] { stop_vote(world); })},
      {"metrics_seconds", median_seconds(times, [&] { metrics(world); })},
      {"checkpoint_seconds", median_seconds(times, [&] { commit(world); })}};
  if (world.rank == 0) std::printf("%s\n", json.dump().c_str());
}

}  // namespace
}  // namespace gondola

int main(int argc, char** argv) {
  const auto start = gondola::Clock::now();
  MPI_Init(&argc, &argv);
  try {
    gondola::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 100, gondola::seconds_since(start));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "control_plane: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
