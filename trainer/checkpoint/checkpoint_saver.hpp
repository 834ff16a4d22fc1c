#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "trainer/checkpoint/checkpoint_writer.hpp"
#include "trainer/checkpoint/state_snapshot.hpp"
#include "trainer/parallel/agreement.hpp"
#include "trainer/training_run.hpp"

namespace gondola {

/// What work that only rank 0 does may take while the others wait for it.
inline constexpr double kRankZeroSeconds = 600;

/// Saves the checkpoints of a run, as checkpoint.* asks for. Rank 0 copies the state to host memory
/// and writes it in a thread while training goes on, one checkpoint at a time; the best is marked
/// and old ones removed behind it in that thread. What came of it is told to all ranks in the
/// agreement of a later step, so that they know, count failures and end alike.
class CheckpointSaver {
 public:
  /// @param run outlives this.
  explicit CheckpointSaver(const TrainingRun& run) : run_(run) {}

  enum class When {
    kBehind,  ///< While training goes on, unless checkpoint.asynchronous is off.
    kAtOnce,  ///< It is the last of the run: complete when save() returns, else save() throws.
  };

  /// Collective. Saves the state as it is now; one that is still being written is waited for.
  /// @throws IoError on all ranks where it is one failure too many
  void save(When when);

  /// Collective while one is being written: waits for it. @throws as save()
  void finish();

  /// Collective while one is being written, which is waited for: takes note of a held-out loss of
  /// the state as it is now. Where it is the lowest of the run the caller has to save, which marks
  /// that checkpoint as the best. @throws as save()
  void note_loss(double loss);

  /// What this rank has to tell in the agreement at the end of a step. @throws what ended the
  /// writing, where that was no IoError
  [[nodiscard]] CheckpointNews news();
  /// Takes note of what was agreed. Collective where it is a failure. @throws as save()
  void heed(CheckpointNews agreed);

 private:
  void write(const StateSnapshot& snapshot);
  void note_failure(std::int64_t step);

  const TrainingRun& run_;
  StateSnapshot snapshot_;               ///< On rank 0; the thread reads it.
  std::optional<WriteOutcome> outcome_;  ///< On rank 0: not told yet.
  std::string left_over_;  ///< Why an old checkpoint is still there; set before the outcome is.

  // The same on all ranks.
  std::optional<std::int64_t> saving_;  ///< Step whose checkpoint is being written.
  When when_ = When::kBehind;           ///< How.
  double loss_before_ = 0.0;            ///< Best loss and step before the latest best.
  std::int64_t step_before_ = 0;
  std::int64_t failures_ = 0;  ///< In a row.

  CheckpointWriter writer_;  ///< On rank 0. Last: its thread ends before what it uses goes.
};

}  // namespace gondola
