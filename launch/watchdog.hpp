#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "launch/rank_endpoints.hpp"
#include "trainer/parallel/collective_progress.hpp"

namespace gondola {

struct WatchdogOptions {
  int rank = 0;
  int size = 1;                    ///< Ranks.
  double timeout_seconds = 300.0;  ///< A collective older than this ends the run.
};

/// A thread that sees a collective which does not end, as when a peer is stopped or its machine is
/// gone, and ends this process with 76. It never calls MPI, which could hang as well.
///
/// When the current collective is older than the timeout (and CollectiveProgress::extra_seconds) it
/// asks all ranks' /healthz who is not in it. The lowest of the ranks that waited so long says so
/// in one sentence on stderr and leaves by _exit; the others leave a few seconds later, so that it
/// is heard first. All are gone eight seconds after the timeout.
class Watchdog {
 public:
  /// `progress` must outlive this object.
  Watchdog(const CollectiveProgress& progress, WatchdogOptions options);
  /// The ranks can be asked from here on. @param endpoints one a rank, in rank order. @param token
  /// bearer token of the endpoints; empty: none.
  void may_ask(std::vector<RankEndpoint> endpoints, std::string token);
  /// Where the latest collectives of this rank are written when one times out.
  void log_to(std::filesystem::path run_folder);

  /// Stops the thread, in a tenth of a second.
  ~Watchdog() = default;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void run(const std::stop_token& stop);

  const CollectiveProgress& progress_;
  WatchdogOptions options_;
  std::mutex mutex_;  // of the three below
  std::vector<RankEndpoint> endpoints_;
  std::string token_;
  std::filesystem::path run_folder_;
  std::jthread thread_;  // last: stops before what it looks at goes
};

}  // namespace gondola
