// Ranks that meet once a step, to be disturbed by fault_test.py: a training run without the
// training.
//
//   fault_program TIMEOUT_SECONDS endpoints|no-endpoints WHAT [RANK]
//
// WHAT: run     until a stop is requested, then 75;
//       throw   RANK throws at step 20;            throw-all    every rank does, alike;
//       absent  RANK stays away from step 20 on;   differ       RANK has another config.

#include <prometheus/registry.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "configs/errors.hpp"
#include "configs/run_config.hpp"
#include "launch/device_binding.hpp"
#include "launch/exit_code.hpp"
#include "launch/mpi_session.hpp"
#include "launch/rank_endpoints.hpp"
#include "launch/singleton_check.hpp"
#include "launch/start_up_check.hpp"
#include "launch/stop_signal.hpp"
#include "launch/watchdog.hpp"
#include "monitoring/metrics_endpoint.hpp"
#include "trainer/parallel/agreement.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kFaultStep = 20;

struct Disturbance {
  double timeout_seconds = 0.0;
  bool endpoints = false;
  std::string what;
  int rank = -1;
};

void disturb(const Disturbance& fault, int rank) {
  if (fault.what == "throw-all") throw ConfigError("an option is wrong: choose another");
  if (rank != fault.rank) return;
  if (fault.what == "throw") throw std::runtime_error("thrown at step 20");
  if (fault.what == "absent") {
    while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

int run(const Disturbance& fault, const MpiSession& mpi) {
  refuse_singletons(mpi.size());
  install_stop_signals();
  CollectiveProgress progress;
  MpiCommunicator control(mpi.world(), progress);
  const bool odd = fault.what == "differ" && mpi.rank() == fault.rank;
  compare_over_ranks(control, std::vector<NamedHash>{{"config", odd ? 1U : 0U}});
  const auto binding = bind_device(ParallelSection{}, mpi);

  std::unique_ptr<MetricsEndpoint> endpoint;
  if (fault.endpoints) {
    endpoint = std::make_unique<MetricsEndpoint>(
        EndpointOptions{}, std::make_shared<prometheus::Registry>(), [&progress, &mpi] {
          return HealthStatus{mpi.rank(),
                              progress.step,
                              progress.sequence(),
                              progress.inside(),
                              progress.seconds_inside(),
                              "running"};
        });
  }
  const RankEndpoint mine{.host = "127.0.0.1", .port = endpoint ? endpoint->port() : 0};
  Watchdog watchdog(
      progress, {.rank = mpi.rank(), .size = mpi.size(), .timeout_seconds = fault.timeout_seconds});
  watchdog.may_ask(gather_endpoints(control, mine), /*token=*/{});
  std::printf("rank %d local %d of %d pid %d on %s\n", mpi.rank(), mpi.local_rank(),
              mpi.local_size(), ::getpid(), binding.description.c_str());
  std::fflush(stdout);

  while (true) {
    if (++progress.step == kFaultStep) disturb(fault, mpi.rank());
    if (agree(control, {.stop = stop_requested()}).stop)
      return static_cast<int>(ExitCode::kStopped);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace
}  // namespace gondola

int main(int argc, char** argv) {
  gondola::MpiSession mpi(argc, argv);
  try {
    if (argc < 4) throw gondola::ConfigError("usage: TIMEOUT endpoints|no-endpoints WHAT [RANK]");
    return gondola::run({.timeout_seconds = std::stod(argv[1]),
                         .endpoints = std::string(argv[2]) == "endpoints",
                         .what = argv[3],
                         .rank = argc > 4 ? std::stoi(argv[4]) : -1},
                        mpi);
  } catch (const std::exception& error) {
    return mpi.abort(gondola::exit_code_of(error), error.what());
  }
}
