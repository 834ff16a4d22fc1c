#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "launch/mpi_session.hpp"
#include "launch/run_folder.hpp"
#include "launch/watchdog.hpp"
#include "monitoring/live_run.hpp"
#include "monitoring/log_file.hpp"
#include "monitoring/metrics_endpoint.hpp"
#include "monitoring/metrics_observer.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/training_loop.hpp"

namespace gondola {

/// What is known of the run on this rank, the rate of matrix products on it included: where metrics
/// are served that is measured, for tens of milliseconds.
[[nodiscard]] RunInfo run_info(const RunConfig& config, const RunFolder& folder,
                               const MpiSession& mpi, const ImageShape& shape,
                               const torch::Tensor& weights, std::int64_t steps);

/// What watches a run: an endpoint on every rank, files and the progress line on rank 0.
class Watchers {
 public:
  /// Collective. `progress` and `watchdog` outlive this. @param start_step that the run goes on
  /// from.
  Watchers(const RunConfig& config, const RunInfo& info, const MpiSession& mpi,
           const CollectiveProgress& progress, Communicator& control, Watchdog& watchdog,
           std::int64_t start_step);

  [[nodiscard]] std::vector<StepObserver*> observers() const {
    std::vector<StepObserver*> result;
    for (const auto& observer : observers_) result.push_back(observer.get());
    return result;
  }
  void warn(const std::string& sentence) const { log_.warn(sentence); }
  void info(const std::string& sentence) const { log_.info(sentence); }

  /// Tells Prometheus that the endpoints will be gone because the run is over. On rank 0.
  void end(const RunFolder& folder, Ending ending) const;

 private:
  void start_endpoint(const RunConfig& config, const std::filesystem::path& folder,
                      const MpiSession& mpi, const CollectiveProgress& progress,
                      Communicator& control, Watchdog& watchdog);

  RankLog log_;
  std::shared_ptr<MetricsObserver> metrics_;
  std::shared_ptr<LiveRun> live_;  ///< On rank 0.
  std::vector<std::shared_ptr<StepObserver>> observers_;
  std::unique_ptr<MetricsEndpoint> endpoint_;
  std::vector<ScrapeTarget> targets_;  ///< On rank 0: of all ranks.
};

}  // namespace gondola
