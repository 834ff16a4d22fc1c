#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "data/batch_loader.hpp"
#include "data/image_source.hpp"
#include "data/ledger.hpp"
#include "trainer/checkpoint/training_state.hpp"
#include "trainer/device_cache.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/evaluation/reconstructor.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/phase_timer.hpp"
#include "trainer/step_report.hpp"
#include "trainer/train_step.hpp"

namespace gondola {

/// How training ended without an error.
enum class Ending {
  kFinished,  ///< All steps are done.
  kStopped,   ///< Stopped on request after a complete checkpoint.
};

/// What work that only rank 0 does may take while the others wait for it.
inline constexpr double kRankZeroSeconds = 600;

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

/// Global steps that the config asks for.
[[nodiscard]] std::int64_t total_steps(const TrainerSection& config,
                                       std::int64_t batches_per_epoch);

/// Trains from state.progress to the end (DESIGN "One step"): every decision around a collective is
/// agreed first.
class TrainingLoop {
 public:
  explicit TrainingLoop(TrainingRun run);
  ~TrainingLoop();

  /// Collective. @throws Error
  Ending run();

 private:
  [[nodiscard]] EvaluationImages held_out() const;
  [[nodiscard]] bool counts_images() const;
  [[nodiscard]] StepResult step(std::int64_t number);
  [[nodiscard]] StepInput input_of(const Batch& batch, std::int64_t number) const;
  [[nodiscard]] StepView view_of(std::span<const std::int64_t> ids, DrawKey key) const;
  [[nodiscard]] torch::Tensor pixels_of(const ImageSource& source,
                                        std::span<const std::int64_t> ids, DrawKey key) const;
  [[nodiscard]] StepReport report(const StepResult& result, std::int64_t number,
                                  std::int64_t images, bool logged);
  void after_step(std::int64_t number, bool last, bool stop);
  void evaluate_and_keep_best(std::int64_t number);
  void make_samples(std::int64_t number);
  void save_checkpoint(std::int64_t number);
  void check_replicas_agree(std::int64_t number);
  void share_running_averages();
  void count_skipped(const StepReport& report);
  void on_rank_zero(const std::function<void()>& work);

  TrainingRun run_;
  std::unique_ptr<DeviceCache> cache_;
  std::unique_ptr<ImageSource> ids_only_;
  PhaseTimer timer_;  // before what uses it
  ImageShape shape_;
  CoordinateDraws draws_;  // before the loader, which draws too
  BatchLoader loader_;
  TrainStep train_step_;
  Reconstructor reconstructor_;
  std::int64_t total_steps_;
  std::int64_t last_images_ = 0;
  std::int64_t last_logged_step_ = 0;
  std::int64_t last_saved_step_ = -1;
  std::filesystem::path last_saved_;  ///< On rank 0.
  double seconds_since_logged_ = 0;
  torch::Tensor spread_;   ///< 0-dim: measured since the last logged step; or undefined.
  torch::Tensor skipped_;  ///< [2] on the device: skipped since it was read, in a row.
  std::int64_t skipped_in_a_row_ = 0;
};

}  // namespace gondola
