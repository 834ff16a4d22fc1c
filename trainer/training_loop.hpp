#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/checkpoint/checkpoint_saver.hpp"
#include "trainer/divergence_guard.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/phase_timer.hpp"
#include "trainer/step_feed.hpp"
#include "trainer/step_report.hpp"
#include "trainer/train_step.hpp"
#include "trainer/training_run.hpp"

namespace gondola {

/// How training ended without an error.
enum class Ending {
  kFinished,  ///< All steps are done.
  kStopped,   ///< Stopped on request after a complete checkpoint.
};

/// Global steps that the config asks for.
[[nodiscard]] std::int64_t total_steps(const TrainerSection& config,
                                       std::int64_t batches_per_epoch);

/// Trains from state.progress to the end (DESIGN "One step"): every decision around a collective is
/// agreed first.
class TrainingLoop {
 public:
  explicit TrainingLoop(TrainingRun run);
  ~TrainingLoop();

  /// Collective. @throws Error
  Ending run();

 private:
  [[nodiscard]] EvaluationImages held_out() const;
  [[nodiscard]] bool counts_images() const;
  [[nodiscard]] StepResult step(std::int64_t number);
  [[nodiscard]] StepReport report(const StepResult& result, std::int64_t number,
                                  std::int64_t images, bool logged);
  void roll_back(const BadStep& bad);
  [[nodiscard]] bool may_save(std::int64_t number) const;
  [[nodiscard]] const BadStep* settle(const std::vector<BadStep>& bad);
  void complete_last_checkpoint();
  void after_step(std::int64_t number, bool last, bool stop);
  void evaluate_and_keep_best(std::int64_t number);
  void make_samples(std::int64_t number);
  void save_checkpoint(CheckpointSaver::When when);
  [[nodiscard]] bool weights_are_worth_saving(CheckpointSaver::When when);
  void check_replicas_agree(std::int64_t number);
  void share_running_averages();
  void on_rank_zero(const std::function<void()>& work);

  TrainingRun run_;
  PhaseTimer timer_;  // before what uses it
  StepFeed feed_;
  TrainStep train_step_;
  DivergenceGuard guard_;
  Reconstructor reconstructor_;
  CheckpointSaver saver_;
  std::int64_t total_steps_;
  std::int64_t last_images_ = 0;
  std::int64_t last_logged_step_ = 0;
  double seconds_since_logged_ = 0;
  torch::Tensor spread_;  ///< 0-dim: measured since the last logged step; or undefined.
};

}  // namespace gondola
