#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gondola {

/// Where a step's time goes. kWait is idling before a collective for slower ranks, kAllReduce the
/// reduction itself.
enum class Phase : std::size_t {
  kData,
  kInner,
  kOuter,
  kWait,
  kAllReduce,
  kOptimizer,
  kCheckpoint,
  kEval,
  kCount
};
inline constexpr std::array<const char*, static_cast<std::size_t>(Phase::kCount)> kPhaseNames = {
    "data", "inner", "outer", "wait", "all_reduce", "optimizer", "checkpoint", "eval"};
using PhaseSeconds = std::array<double, static_cast<std::size_t>(Phase::kCount)>;

/// One optimiser step as seen by one rank; losses and norms are those of the global batch, equal on
/// all ranks. `logged` tells whether the scalars below were reduced for this step (every
/// monitoring.log_every steps).
struct StepReport {
  std::int64_t step = 0;   ///< Global step, from 1.
  std::int64_t epoch = 0;  ///< From 0.
  bool logged = false;
  double loss = 0.0;                    ///< Mean over the global batch of the family's loss.
  double inner_loss = 0.0;              ///< The same at the origin; 0 without an inner pass.
  std::map<std::string, double> parts;  ///< More means by family: "divergence", "accuracy", ...
  double latent_norm = 0.0;             ///< Root mean square over the batch of |z_b|.
  double gradient_norm = 0.0;           ///< Norm of the mean gradient before clipping.
  double learning_rate = 0.0;
  double images_per_second = 0.0;  ///< Global, since the last logged step.
  double step_seconds = 0.0;       ///< Mean since the last logged step, this rank.
  PhaseSeconds phase_seconds{};    ///< Per step, mean since the last logged step, this rank.
  /// phase_seconds of every rank, in rank order; empty unless logged. The same on all ranks.
  std::vector<PhaseSeconds> rank_phase_seconds = {};
  std::int64_t images = 0;         ///< Images of this rank in this step.
  std::int64_t bytes_reduced = 0;  ///< Bytes of gradient this rank gave to be all-reduced.
  /// Updates skipped on all ranks, as not finite or out of bounds, since the last report that could
  /// tell: every step on a CPU, logged steps on a GPU.
  std::int64_t skipped = 0;
};

/// A held-out evaluation; the values are global.
struct EvalReport {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::string split;  ///< "test", or "train" where there is no test split.
  std::int64_t images = 0;
  std::map<std::string, double> metrics;  ///< "loss", "psnr", "ssim", ...
  std::string encoding;                   ///< In words: how batch norm was fed.
};

/// Originals and reconstructions of the same held-out images, float in [0, 1], n x C x H x W each,
/// on rank 0 only.
struct SampleReport {
  std::int64_t step = 0;
  std::int64_t n = 0, channels = 0, height = 0, width = 0;
  std::vector<float> originals;
  std::vector<float> reconstructions;
};

/// A checkpoint that is complete on disk.
struct CheckpointReport {
  std::int64_t step = 0;
  double seconds = 0.0;  ///< That writing it took.
};

/// A checkpoint that could not be written; the older ones are whole.
struct CheckpointFailure {
  std::int64_t step = 0;
  std::string reason;
};

/// Training is back at a checkpoint: steps go on from there, with the images behind the bad step.
struct RollbackReport {
  std::int64_t step = 0;       ///< Of the checkpoint.
  std::int64_t from_step = 0;  ///< The bad step.
  std::string reason;          ///< What was wrong with it, in words.
  std::int64_t images = 0;     ///< Passed over: those of all steps from the one to the other.
};

/// Replicas that had drifted apart are equal again.
struct MendReport {
  std::int64_t step = 0;
  std::vector<int> ranks;  ///< Whose state was replaced.
  double drift = 0.0;      ///< Largest relative difference.
};

/// Sees what training does. Called on the training thread, between steps; must return fast and
/// starts no collective. An observer that throws ends the run.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void on_step(const StepReport&) {}
  virtual void on_eval(const EvalReport&) {}
  virtual void on_samples(const SampleReport&) {}
  virtual void on_checkpoint(const CheckpointReport&) {}
  virtual void on_checkpoint_failure(const CheckpointFailure&) {}
  virtual void on_rollback(const RollbackReport&) {}
  virtual void on_mend(const MendReport&) {}
  /// Everything reported so far is to be on disk when this returns.
  virtual void flush() {}
};

}  // namespace gondola
