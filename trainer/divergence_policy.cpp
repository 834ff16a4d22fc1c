#include "trainer/divergence_policy.hpp"

#include <algorithm>
#include <string>

#include "configs/errors.hpp"

namespace gondola {
namespace {

constexpr const char* kCure =
    "; lower optimizer.learning_rate or latent.step_size, or set optimizer.clip_norm";

std::string beginning(const BadStep& bad) {
  return "training diverged at step " + std::to_string(bad.step) + ": " + bad.in_words();
}

}  // namespace

DivergencePolicy::DivergencePolicy(const TrainerSection& config)
    : on_nonfinite_(config.on_nonfinite), budget_(config.skip_budget) {}

Remedy DivergencePolicy::judge(const BadStep& bad) {
  if (on_nonfinite_ == OnNonfinite::kRollback) return judge_rollback(bad);
  const bool weights = bad.trouble == Trouble::kWeights;
  // Replicas hold the same weights: what is wrong with some of them only, memory did.
  if (weights && static_cast<std::int64_t>(bad.ranks.size()) < bad.world) {
    throw CommError("at step " + std::to_string(bad.step) + " " + bad.in_words() +
                    ", those of the other ranks are: restart from the last checkpoint, and suspect "
                    "the memory or processor there");
  }
  if (on_nonfinite_ == OnNonfinite::kStop) throw DivergedError(beginning(bad) + kCure);
  if (weights) {
    throw DivergedError(beginning(bad) +
                        ", which skipping updates cannot mend; resume from an earlier checkpoint "
                        "with a lower optimizer.learning_rate, or set optimizer.clip_norm or "
                        "trainer.on_nonfinite = rollback");
  }
  if (bad.in_a_row > budget_) {
    throw DivergedError(beginning(bad) + ", in " + std::to_string(bad.in_a_row) +
                        (bad.in_a_row == 1 ? " step" : " steps in a row") + " of " +
                        std::to_string(budget_) + " that trainer.skip_budget allows" + kCure);
  }
  return Remedy::kNothing;
}

Remedy DivergencePolicy::judge_rollback(const BadStep& bad) {
  constexpr std::int64_t kMostInVain = 2;
  if (rollbacks_ >= budget_) {
    throw DivergedError(beginning(bad) + ", after all " + std::to_string(budget_) +
                        " rollbacks that trainer.skip_budget allows" + kCure);
  }
  in_vain_ = rollbacks_ > 0 && bad.step <= furthest_ ? in_vain_ + 1 : 0;
  if (in_vain_ >= kMostInVain) {
    throw DivergedError(beginning(bad) + ", and two rollbacks have not brought it beyond step " +
                        std::to_string(furthest_) + kCure);
  }
  furthest_ = std::max(furthest_, bad.step);
  ++rollbacks_;
  return Remedy::kRollBack;
}

}  // namespace gondola
