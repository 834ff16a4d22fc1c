#pragma once

#include <cstdint>
#include <filesystem>

#include "trainer/bad_step.hpp"
#include "trainer/step_feed.hpp"
#include "trainer/step_report.hpp"
#include "trainer/training_run.hpp"

namespace gondola {

/// Puts the newest complete checkpoint back into a run's state, on all ranks, and lets the data go
/// on where it is, behind the bad batch. What came after the checkpoint is passed over: its images
/// leave the ledger for passed_over_file(), and its checkpoints, of which only damaged ones can be
/// there, are set aside.
class Rollback {
 public:
  /// Both outlive this.
  Rollback(const TrainingRun& run, const StepFeed& feed) : run_(run), feed_(feed) {}

  /// Collective. REQUIRES feed.cursor() right behind the bad batch, where run.state.progress then
  /// is.
  /// @throws DivergedError where there is no complete checkpoint, CheckpointError, IoError
  RollbackReport go_back(const BadStep& bad);

 private:
  void set_files_right(const BadStep& bad, Cursor first) const;

  const TrainingRun& run_;
  const StepFeed& feed_;
  std::int64_t last_step_ = -1;  ///< Where the last rollback led, and the batch it went on with.
  Cursor last_cursor_{};
};

}  // namespace gondola
