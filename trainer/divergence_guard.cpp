#include "trainer/divergence_guard.hpp"

#include <algorithm>
#include <string>

#include "trainer/passed_over.hpp"

namespace gondola {

DivergenceGuard::DivergenceGuard(const TrainingRun& run, const StepFeed& feed,
                                 TrainStep& train_step)
    : run_(run),
      train_step_(train_step),
      watch_(run.config, run.state.decoder.parameters().flat(), run.control,
             [&feed](Cursor cursor) { return feed.global_ids(cursor); }),
      policy_(run.config.trainer),
      rollback_(run, feed) {
  train_step_.bound().restore(run_.state.progress.usual_norm);
}

void DivergenceGuard::add(std::int64_t step, Cursor cursor, const StepResult& result) {
  watch_.add(step, cursor, result);
}

std::vector<BadStep> DivergenceGuard::bad_steps(bool logged) {
  const bool on_cpu = run_.state.decoder.parameters().flat().device().is_cpu();
  if (!logged && !on_cpu && !policy_.cannot_wait() && !watch_.full()) return {};
  return watch_.take();
}

const BadStep* DivergenceGuard::settle(const std::vector<BadStep>& bad) {
  for (const auto& step : bad) {
    if (policy_.judge(step) == Remedy::kRollBack) return &step;
    pass_over(step);
  }
  return nullptr;
}

/// Rank 0 says it for all, the others where it was their own images or gradient.
void DivergenceGuard::pass_over(const BadStep& bad) const {
  const auto own = watch_.own_positions();
  const auto rank = run_.control.rank();
  const bool of_own_images = std::ranges::any_of(
      bad.positions, [&](auto position) { return position >= own.begin && position < own.end; });
  const bool of_own_gradient = std::ranges::find(bad.ranks, rank) != bad.ranks.end();
  if (rank == 0 || of_own_images || of_own_gradient) {
    run_.warn("step " + std::to_string(bad.step) + ": " + bad.in_words() +
              "; its update was skipped on all ranks");
  }
  if (rank == 0) {
    append_passed_over(passed_over_file(run_.checkpoint_folder.parent_path()),
                       passed_over_lines(bad));
  }
}

RollbackReport DivergenceGuard::go_back(const BadStep& bad) {
  const auto report = rollback_.go_back(bad);
  train_step_.bound().restore(run_.state.progress.usual_norm);
  if (run_.control.rank() == 0) {
    run_.warn("step " + std::to_string(bad.step) + ": " + report.reason +
              "; training went back to the checkpoint of step " + std::to_string(report.step) +
              " and passes over the " + std::to_string(report.images) + " images since");
  }
  return report;
}

}  // namespace gondola
