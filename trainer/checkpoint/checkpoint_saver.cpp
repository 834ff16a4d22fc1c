#include "trainer/checkpoint/checkpoint_saver.hpp"

#include <utility>

#include "configs/errors.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/parallel/broadcast_text.hpp"

namespace gondola {
namespace {

/// REQUIRES that it failed.
std::string reason_of(const WriteOutcome& outcome) {
  try {
    std::rethrow_exception(outcome.error);
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

void CheckpointSaver::save(When when) {
  finish();
  auto family = run_.state.objective.gather_state();
  saving_ = run_.state.progress.step;
  when_ = when;
  const bool behind = when == When::kBehind && run_.config.checkpoint.asynchronous;
  if (!behind) run_.progress.allow_extra_seconds(kRankZeroSeconds);
  if (run_.control.rank() == 0) {
    for (auto* observer : run_.observers) observer->flush();
    if (behind) {
      copy_state(run_.state, std::move(family), snapshot_);
      writer_.begin([this] { write(snapshot_); });
    } else {
      snapshot_ = {};  // no second copy beside it
      const auto view = view_of(run_.state, std::move(family));
      outcome_ = attempt_to_write([&] { write(view); });
    }
  }
  if (!behind) finish();
}

/// In the writer's thread, or with the training thread waiting.
void CheckpointSaver::write(const StateSnapshot& snapshot) {
  const auto path = write_checkpoint(run_.checkpoint_folder, snapshot, run_.origin);
  if (snapshot.progress.best_step == snapshot.progress.step) mark_best(path);
  try {
    remove_old_checkpoints(path, run_.config.checkpoint.keep);
  } catch (const IoError& error) {  // the new one is there all the same
    left_over_ = error.what();
  }
}

void CheckpointSaver::finish() {
  if (!saving_) return;
  run_.progress.allow_extra_seconds(kRankZeroSeconds);
  if (run_.control.rank() == 0 && !outcome_) outcome_ = writer_.wait();
  const auto agreed = agree(run_.control, {.checkpoint = news()});
  run_.progress.allow_extra_seconds(0);
  heed(agreed.checkpoint);
}

void CheckpointSaver::note_loss(double loss) {
  finish();  // whether the best so far is on disk must be known
  auto& progress = run_.state.progress;
  if (!(loss < progress.best_loss)) return;
  loss_before_ = std::exchange(progress.best_loss, loss);
  step_before_ = std::exchange(progress.best_step, progress.step);
}

CheckpointNews CheckpointSaver::news() {
  if (run_.control.rank() != 0 || !saving_) return CheckpointNews::kNone;
  if (!outcome_) outcome_ = writer_.poll();
  if (!outcome_) return CheckpointNews::kNone;
  if (!outcome_->error) return CheckpointNews::kWritten;
  try {
    std::rethrow_exception(outcome_->error);
  } catch (const IoError&) {
    return CheckpointNews::kFailed;
  }
}

void CheckpointSaver::heed(CheckpointNews agreed) {
  if (agreed == CheckpointNews::kNone) return;
  const auto step = *std::exchange(saving_, std::nullopt);
  if (agreed == CheckpointNews::kFailed) {
    note_failure(step);
  } else {
    failures_ = 0;
    if (run_.control.rank() == 0) {
      for (auto* observer : run_.observers) {
        observer->on_checkpoint({.step = step, .seconds = outcome_->seconds});
      }
      if (!left_over_.empty()) run_.warn(std::exchange(left_over_, ""));
    }
  }
  outcome_.reset();
  snapshot_.family.clear();  // gathered anew each time
}

void CheckpointSaver::note_failure(std::int64_t step) {
  ++failures_;
  auto& progress = run_.state.progress;
  if (progress.best_step == step) {  // "best" still points to the one before
    progress.best_loss = loss_before_;
    progress.best_step = step_before_;
  }
  std::string reason;
  if (run_.control.rank() == 0) {
    reason = "rank 0: the checkpoint of step " + std::to_string(step) +
             " is not written: " + reason_of(*outcome_);
    for (auto* observer : run_.observers) {
      observer->on_checkpoint_failure({.step = step, .reason = reason});
    }
  }
  const auto allowed = run_.config.checkpoint.failures_allowed;
  if (when_ == When::kAtOnce || failures_ > allowed) {
    throw IoError(broadcast_text(run_.control, reason));
  }
  if (run_.control.rank() == 0) {
    run_.warn(reason + "; training goes on (failure " + std::to_string(failures_) +
              " in a row, checkpoint.failures_allowed = " + std::to_string(allowed) + ")");
  }
}

}  // namespace gondola
