#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "monitoring/metrics_observer.hpp"
#include "monitoring/rank_slowness.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// What the live page shows of a run, on rank 0. Reports come from the training thread, json() from
/// the endpoint's. Memory is bounded: a curve that has grown long keeps every other point.
class LiveRun final : public StepObserver {
 public:
  /// The most points of a curve.
  static constexpr std::size_t kPoints = 800;

  /// @param info its folder's metrics.jsonl, if there is one, gives the curves of what was trained
  /// before a resume.
  explicit LiveRun(const RunInfo& info);

  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  /// Forgets what came after the checkpoint.
  void on_rollback(const RollbackReport& report) override;

  /// The run as it is now, with the checkpoints and the newest picture that its folder holds. What
  /// is not finite is null. Keys: run, decoder, dataset, device, world_size, version, now, started,
  /// step, planned_steps, epoch, skipped, seconds_left, last (the scalars of the last logged step),
  /// train (columns step, loss, images_per_second), evaluations, ranks (phase seconds
  /// a step and slowness over the last logged steps), checkpoints, picture_step.
  [[nodiscard]] std::string json() const;

  [[nodiscard]] const std::filesystem::path& folder() const { return info_.folder; }

 private:
  /// A point of the training curves.
  struct Point {
    std::int64_t step = 0;
    double loss = 0.0;
    double images_per_second = 0.0;
  };

  void add_point(const StepReport& report);
  void add_evaluation(const EvalReport& report);
  [[nodiscard]] double seconds_left(double now) const;

  RunInfo info_;
  double started_ = 0.0;  ///< Unix time.
  mutable std::mutex mutex_;
  std::int64_t first_step_ = 0;  ///< Of this process, and when it was done.
  double first_time_ = 0.0;
  std::int64_t step_ = 0;
  std::int64_t epoch_ = 0;
  std::int64_t skipped_ = 0;
  StepReport last_;            ///< The last logged one.
  std::vector<Point> points_;  ///< Every stride_-th logged step.
  std::int64_t stride_ = 1;
  std::int64_t logged_ = 0;
  std::vector<EvalReport> evaluations_;
  RankSlowness slowness_;
  std::deque<std::vector<PhaseSeconds>> rank_phases_;  ///< Of the logged steps that slowness_ sees.
};

/// The newest samples/step-*.png of a run folder; empty where there is none.
[[nodiscard]] std::filesystem::path newest_picture(const std::filesystem::path& run_folder);

}  // namespace gondola
