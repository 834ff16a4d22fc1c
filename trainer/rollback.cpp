#include "trainer/rollback.hpp"

#include <string>

#include "configs/errors.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/parallel/broadcast_text.hpp"
#include "trainer/passed_over.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

/// Collective. Name of the newest complete checkpoint as rank 0 sees it; empty: there is none.
std::string newest_checkpoint(const TrainingRun& run) {
  std::string name;
  if (run.control.rank() == 0) {
    const auto newest = newest_complete(run.checkpoint_folder);
    for (const auto& sentence : newest.skipped) run.warn("passed over: " + sentence);
    if (newest.path) name = newest.path->filename().string();
  }
  return broadcast_text(run.control, name);
}

}  // namespace

/// On rank 0. @param first of the batches since the checkpoint.
void Rollback::set_files_right(const BadStep& bad, Cursor first) const {
  const auto& progress = run_.state.progress;
  std::string lines;
  auto step = progress.step;
  for (auto cursor = first; cursor != bad.cursor;) {
    lines += taken_back_lines(++step, cursor, feed_.global_ids(cursor));
    if (++cursor.batch == feed_.batches_per_epoch())
      cursor = {.epoch = cursor.epoch + 1, .batch = 0};
  }
  append_passed_over(passed_over_file(run_.checkpoint_folder.parent_path()),
                     lines + passed_over_lines(bad));
  set_later_aside(run_.checkpoint_folder, progress.step);
  mark_best_again(run_.checkpoint_folder, progress.best_step);
}

RollbackReport Rollback::go_back(const BadStep& bad) {
  const auto name = newest_checkpoint(run_);
  if (name.empty()) {
    throw DivergedError("training diverged at step " + std::to_string(bad.step) + ": " +
                        bad.in_words() +
                        ", and there is no complete checkpoint yet to go back to; lower "
                        "checkpoint.every_steps or optimizer.learning_rate");
  }
  read_checkpoint(run_.checkpoint_folder / name, run_.state);
  auto& progress = run_.state.progress;
  if (run_.control.rank() == 0) {
    // What an earlier rollback to this checkpoint passed over is listed already.
    set_files_right(bad, progress.step == last_step_ ? last_cursor_ : progress.cursor);
  }
  // The ledger lists what the weights have seen.
  if (run_.ledger != nullptr) *run_.ledger = LedgerWriter(run_.config.data.ledger, progress.step);
  progress.cursor = feed_.cursor();
  last_step_ = progress.step;
  last_cursor_ = progress.cursor;
  run_.control.barrier();
  return {.step = progress.step,
          .from_step = bad.step,
          .reason = bad.in_words(),
          .images = (bad.step - progress.step) * run_.config.trainer.batch_size};
}

}  // namespace gondola
