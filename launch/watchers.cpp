#include "launch/watchers.hpp"

#include <unistd.h>

#include <utility>

#include "launch/rank_endpoints.hpp"
#include "monitoring/image_grid.hpp"
#include "monitoring/progress_line.hpp"
#include "monitoring/run_log.hpp"
#include "monitoring/run_name.hpp"
#include "trainer/kernels/matmul_rate.hpp"
#include "trainer/model_flop.hpp"

namespace gondola {

RunInfo run_info(const RunConfig& config, const RunFolder& folder, const MpiSession& mpi,
                 const ImageShape& shape, const torch::Tensor& weights, std::int64_t steps) {
  RunInfo info{.run = run_name(folder.path),
               .decoder = config.model.decoder == DecoderKind::kSiren ? "siren" : "conv",
               .dataset = config.data.path,
               .device = weights.is_cuda() ? "cuda" : "cpu",
               .world_size = mpi.size(),
               .rank = mpi.rank(),
               .planned_steps = steps,
               .flop_per_image = flop_per_image(config, shape),
               .folder = folder.path};
  if (config.monitoring.bind != "off") {
    const bool half = config.trainer.precision == Precision::kBf16;
    info.matmul_rate = measure_matmul_rate(
        weights.options().dtype(half ? torch::kBFloat16 : weights.scalar_type()));
  }
  return info;
}

Watchers::Watchers(const RunConfig& config, const RunInfo& info, const MpiSession& mpi,
                   const CollectiveProgress& progress, Communicator& control, Watchdog& watchdog,
                   std::int64_t start_step)
    : log_(info.folder, mpi.rank()) {
  metrics_ = std::make_shared<MetricsObserver>(info);
  observers_.push_back(metrics_);
  if (mpi.rank() == 0) {
    observers_.push_back(std::make_shared<RunLog>(info.folder, start_step));
    observers_.push_back(std::make_shared<ImageGrid>(info.folder, start_step));
    observers_.push_back(std::make_shared<ProgressLine>(ProgressOptions{
        .style = progress_style_of(STDOUT_FILENO), .total_steps = info.planned_steps}));
    live_ = std::make_shared<LiveRun>(info);  // reads what the run log has kept
    observers_.push_back(live_);
  }
  start_endpoint(config, info.folder, mpi, progress, control, watchdog);
}

void Watchers::start_endpoint(const RunConfig& config, const std::filesystem::path& folder,
                              const MpiSession& mpi, const CollectiveProgress& progress,
                              Communicator& control, Watchdog& watchdog) {
  const auto& monitoring = config.monitoring;
  const auto token = monitoring.token_file.empty() ? "" : read_token_file(monitoring.token_file);
  RankEndpoint mine;
  if (monitoring.bind != "off") {
    const int port =
        monitoring.port == 0 ? 0 : static_cast<int>(monitoring.port) + mpi.local_rank();
    auto attempt = try_start_endpoint(
        {.bind = monitoring.bind, .port = port, .token = token}, metrics_,
        [&progress, rank = mpi.rank()] {
          return HealthStatus{.rank = rank,
                              .step = progress.step.load(),
                              .sequence = progress.sequence(),
                              .inside = progress.inside(),
                              .seconds_inside = progress.seconds_inside(),
                              .status = progress.step.load() == 0 ? "starting" : "training"};
        },
        live_);
    endpoint_ = std::move(attempt.endpoint);
    if (endpoint_) {
      mine.host = endpoint_->host();
      mine.port = endpoint_->port();
    } else {
      log_.warn(attempt.warning);
    }
  }
  const auto endpoints = gather_endpoints(control, mine);
  if (mpi.rank() == 0) {
    for (std::size_t rank = 0; rank < endpoints.size(); ++rank) {
      if (endpoints[rank].port == 0) continue;
      targets_.push_back({endpoints[rank].host, endpoints[rank].port, static_cast<int>(rank)});
    }
    write_targets_json(folder, targets_);
  }
  watchdog.may_ask(endpoints, token);
}

void Watchers::end(const RunFolder& folder, Ending ending) const {
  write_targets_json(folder.path, targets_, ending == Ending::kFinished ? "finished" : "stopped");
}

}  // namespace gondola
