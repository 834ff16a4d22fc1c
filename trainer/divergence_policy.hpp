#pragma once

#include <cstdint>

#include "configs/run_config.hpp"
#include "trainer/bad_step.hpp"

namespace gondola {

/// What is done about a bad step, beside that its update was skipped.
enum class Remedy {
  kNothing,   ///< Training goes on with the next batch.
  kRollBack,  ///< Back to the newest checkpoint.
};

/// trainer.on_nonfinite and its budget. It is asked for the same steps on all ranks and says the
/// same to all.
class DivergencePolicy {
 public:
  explicit DivergencePolicy(const TrainerSection& config);

  /// Whether a bad step must be known before the next one begins.
  [[nodiscard]] bool cannot_wait() const { return on_nonfinite_ != OnNonfinite::kSkip; }

  /// REQUIRES steps in the order in which they were trained. @throws DivergedError where the run is
  /// to end, CommError where the weights of some ranks only are not finite and there is no way back
  [[nodiscard]] Remedy judge(const BadStep& bad);

 private:
  [[nodiscard]] Remedy judge_rollback(const BadStep& bad);

  OnNonfinite on_nonfinite_;
  std::int64_t budget_;
  std::int64_t rollbacks_ = 0;
  std::int64_t furthest_ = 0;  ///< Bad step that training came to.
  std::int64_t in_vain_ = 0;   ///< Rollbacks in a row after which it came no further.
};

}  // namespace gondola
