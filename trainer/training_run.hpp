#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "data/ledger.hpp"
#include "trainer/checkpoint/training_state.hpp"
#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/step_report.hpp"

namespace gondola {

/// What a loop works with; everything outlives it. The same on all ranks but for the observers.
struct TrainingRun {
  const RunConfig& config;  ///< Resolved and validated.
  const ImageSource& train;
  const ImageSource* held_out = nullptr;  ///< Split that is evaluated; nullptr: the training split.
  const ImageSource* targets = nullptr;   ///< Other modality of `train`; translation only.
  const ImageSource* held_out_targets = nullptr;  ///< The same of `held_out`.
  TrainingState& state;
  Communicator& communicator;  ///< For tensors on the device.
  Communicator& control;       ///< For tensors on the host.
  /// Of the parallel.coordinate_ranks ranks that share images, for tensors on the device; ranks of
  /// a group are neighbours. nullptr: none do.
  Communicator* coordinate_group = nullptr;
  CollectiveProgress& progress;
  std::function<bool()> stop_requested;     ///< Asked between steps; any rank may say yes.
  std::vector<StepObserver*> observers;     ///< Of this rank.
  std::filesystem::path checkpoint_folder;  ///< Rank 0 writes there.
  CheckpointOrigin origin;                  ///< Kept in checkpoints.
  LedgerWriter* ledger = nullptr;           ///< Rank 0 only.
  std::int64_t node_ranks = 1;              ///< Ranks on this machine.
  std::function<void(const std::string&)>
      warn;  ///< One sentence for the log; called where it is true on this rank.
};

}  // namespace gondola
