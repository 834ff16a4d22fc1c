#pragma once

#include <cstdint>
#include <vector>

#include "trainer/divergence_policy.hpp"
#include "trainer/rollback.hpp"
#include "trainer/step_feed.hpp"
#include "trainer/step_report.hpp"
#include "trainer/step_watch.hpp"
#include "trainer/train_step.hpp"
#include "trainer/training_run.hpp"

namespace gondola {

/// Finds the steps of a run that are not finite or out of bounds, says what they were, and does
/// what trainer.on_nonfinite wants.
class DivergenceGuard {
 public:
  /// All outlive this.
  DivergenceGuard(const TrainingRun& run, const StepFeed& feed, TrainStep& train_step);

  /// A step that was just done, with the batch at `cursor`.
  void add(std::int64_t step, Cursor cursor, const StepResult& result);

  /// Collective. The bad ones among the steps since those that were told last. On a GPU, which
  /// reading waits for, that is put off until a logged step where the policy can wait.
  [[nodiscard]] std::vector<BadStep> bad_steps(bool logged);

  /// Says what was skipped. The step to go back from, or nullptr where training goes on.
  /// @throws as DivergencePolicy::judge(); IoError
  [[nodiscard]] const BadStep* settle(const std::vector<BadStep>& bad);

  /// Collective. REQUIRES that no checkpoint is being written. @throws as Rollback::go_back()
  RollbackReport go_back(const BadStep& bad);

 private:
  void pass_over(const BadStep& bad) const;

  const TrainingRun& run_;
  TrainStep& train_step_;
  StepWatch watch_;
  DivergencePolicy policy_;
  Rollback rollback_;
};

}  // namespace gondola
