#pragma once

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "monitoring/rank_slowness.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// What is known of a run when it starts: the labels of gondola_run_info, and constants.
struct RunInfo {
  std::string run = {};      ///< Name of the run folder.
  std::string decoder = {};  ///< "siren", "conv".
  std::string dataset = {};  ///< Name of the dataset.
  std::string device = {};   ///< "cpu", "cuda".
  int world_size = 1;
  int rank = 0;
  std::int64_t planned_steps = 0;     ///< The global step after which the run ends.
  double flop_per_image = 0;          ///< As trainer/model_flop.hpp has it.
  double matmul_rate = 0;             ///< FLOP/s of matrix products on this rank.
  std::filesystem::path folder = {};  ///< Whose file system is watched by rank 0; empty: none.
};

/// The numbers of one rank, as Prometheus collects them (DESIGN.md 9). Reports come from the
/// training thread, Collect() from the endpoint's threads; every number is updated atomically by
/// itself.
///
/// Counters start at 0 with the process. Phase seconds and step durations come with logged steps
/// only, as means: each mean counts once for every step since the last logged one, so that totals
/// are of all steps up to the last logged. Rank 0 alone has what is of the run and not of a rank:
/// the slowness of the ranks, checkpoints and the run folder's file system.
class MetricsObserver final : public StepObserver, public prometheus::Collectable {
 public:
  explicit MetricsObserver(const RunInfo& info);

  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_checkpoint(const CheckpointReport& report) override;
  void on_checkpoint_failure(const CheckpointFailure& failure) override;
  void on_rollback(const RollbackReport& report) override;
  void on_mend(const MendReport& report) override;

  /// The registry's families, with the process's memory as it is now.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  void add_gauges_of_the_run();
  void measure_file_system();

  prometheus::Registry registry_;
  prometheus::Counter& steps_;
  prometheus::Counter& images_;
  prometheus::Counter& reduced_bytes_;
  prometheus::Counter& nonfinite_steps_;
  prometheus::Counter& rollbacks_;
  prometheus::Counter& mends_;
  prometheus::Gauge& step_;
  prometheus::Gauge& epoch_;
  prometheus::Family<prometheus::Gauge>& loss_;
  prometheus::Gauge& train_loss_;
  prometheus::Gauge& inner_loss_;
  prometheus::Gauge& gradient_norm_;
  prometheus::Gauge& latent_norm_;
  prometheus::Gauge& learning_rate_;
  prometheus::Gauge& images_per_second_;
  prometheus::Gauge& model_flops_;
  prometheus::Gauge& model_flops_ratio_;
  prometheus::Gauge& resident_bytes_;
  prometheus::Family<prometheus::Gauge>& eval_;
  prometheus::Histogram& step_duration_;
  std::array<prometheus::Counter*, static_cast<std::size_t>(Phase::kCount)> phase_seconds_{};
  prometheus::Family<prometheus::Gauge>& parts_;
  prometheus::Family<prometheus::Gauge>* slowness_gauges_ = nullptr;  ///< Rank 0 only.
  prometheus::Gauge* checkpoint_time_ = nullptr;  ///< Rank 0 only, as the next four.
  prometheus::Gauge* checkpoint_seconds_ = nullptr;
  prometheus::Counter* checkpoint_failures_ = nullptr;
  prometheus::Gauge* available_bytes_ = nullptr;
  prometheus::Gauge* file_system_bytes_ = nullptr;
  double flop_per_image_;
  double matmul_rate_over_ranks_;
  std::filesystem::path folder_;
  RankSlowness slowness_;
  std::int64_t steps_since_logged_ = 0;
};

}  // namespace gondola
