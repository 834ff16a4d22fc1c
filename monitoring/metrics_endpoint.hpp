#pragma once

#include <prometheus/collectable.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace gondola {

class BoundedServer;
class LiveRun;

/// What /healthz answers: one rank's view of itself.
struct HealthStatus {
  int rank = 0;
  std::int64_t step = 0;        ///< Global step being computed.
  std::uint64_t sequence = 0;   ///< Collectives entered so far.
  bool inside = false;          ///< In a collective now.
  double seconds_inside = 0.0;  ///< Since that collective was entered.
  std::string status;           ///< In a word: "starting" before the first step, then "training".
};

struct EndpointOptions {
  std::string bind = "127.0.0.1";  ///< Numeric address or host name to listen on; never "off".
  int port = 0;                    ///< 0: any free port.
  std::string token = {};          ///< Bearer token that every path demands; empty: none.
};

/// Serves GET /metrics (Prometheus text format) and GET /healthz (JSON: rank, step, sequence,
/// inside, seconds_inside, status) from threads of its own, and on rank 0 the live page (`/`). A
/// browser may give the token of `/` as `/?token=...`, of the other paths by header alone. Clients
/// that are slow or many keep nobody out (BoundedServer). The destructor stops it within about a
/// second.
class MetricsEndpoint {
 public:
  /// `metrics` is collected at each scrape, `health` called at each /healthz: both from the
  /// endpoint's threads, while training runs. `live` is the run of the live page; nullptr: none.
  /// @throws IoError where the address cannot be bound
  /// (port taken, not an address of this machine).
  MetricsEndpoint(const EndpointOptions& options,
                  std::shared_ptr<const prometheus::Collectable> metrics,
                  std::function<HealthStatus()> health,
                  std::shared_ptr<const LiveRun> live = nullptr);
  ~MetricsEndpoint();
  MetricsEndpoint(const MetricsEndpoint&) = delete;
  MetricsEndpoint& operator=(const MetricsEndpoint&) = delete;

  [[nodiscard]] int port() const noexcept { return port_; }
  /// How others reach it: the bound address, or this machine's name where it listens on every
  /// address.
  [[nodiscard]] const std::string& host() const noexcept { return host_; }

 private:
  std::unique_ptr<BoundedServer> server_;
  int port_ = 0;
  std::string host_;
  std::thread thread_;
};

/// Either a running endpoint, or none and the sentence to warn with.
struct EndpointAttempt {
  std::unique_ptr<MetricsEndpoint> endpoint;
  std::string warning;
};

/// As the constructor, but an address that cannot be bound is a warning: training does without the
/// endpoint.
[[nodiscard]] EndpointAttempt try_start_endpoint(
    const EndpointOptions& options, std::shared_ptr<const prometheus::Collectable> metrics,
    std::function<HealthStatus()> health, std::shared_ptr<const LiveRun> live = nullptr);

/// The first line of a token file, without surrounding blanks. @throws MissingInputError,
/// IoError; ConfigError where it is empty.
[[nodiscard]] std::string read_token_file(const std::filesystem::path& path);

/// Where one rank's endpoint is.
struct ScrapeTarget {
  std::string host;
  int port = 0;
  int rank = 0;
};

/// Writes <run_folder>/prometheus/targets.json for Prometheus' file_sd_configs, atomically. Each
/// target has the labels `run` and `rank`. A run that ended in order says how in `ended`
/// ("finished", "stopped"), so that endpoints that are gone are told from endpoints that are lost.
/// @throws IoError
void write_targets_json(const std::filesystem::path& run_folder,
                        const std::vector<ScrapeTarget>& targets, const std::string& ended = "");

}  // namespace gondola
