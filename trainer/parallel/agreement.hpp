#pragma once

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// What came of a checkpoint that was being written; told by rank 0, which writes them.
enum class CheckpointNews { kNone, kWritten, kFailed };

/// What one rank wants to tell the others at a step boundary.
struct LocalState {
  bool stop = false;  ///< This rank was asked to stop (a signal, a time limit).
  CheckpointNews checkpoint = CheckpointNews::kNone;
};

/// The same on every rank.
struct Agreement {
  bool stop = false;  ///< Some rank was asked to stop.
  CheckpointNews checkpoint = CheckpointNews::kNone;
};

/// Collective. One small all-reduce; called once a step at the same place by every rank, so that a
/// decision made from signals or local values is never taken by some ranks only. @throws CommError
/// @param control a communicator for CPU tensors.
[[nodiscard]] Agreement agree(Communicator& control, const LocalState& local);

}  // namespace gondola
