#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/batch_loader.hpp"
#include "data/image_source.hpp"
#include "trainer/coordinates/coordinate_draws.hpp"
#include "trainer/device_cache.hpp"
#include "trainer/train_step.hpp"
#include "trainer/training_run.hpp"

namespace gondola {

/// What each training step is given: this rank's images of the next global batch, from the loader
/// or the device's cache, at the coordinates of that batch. Not collective.
class StepFeed {
 public:
  /// `run` outlives this.
  explicit StepFeed(const TrainingRun& run);

  /// The batch at cursor(), which moves on by one. What it refers to lives until the next call.
  /// @param number global step, from 1: says when the spread is measured.
  /// @throws as BatchLoader::next()
  [[nodiscard]] StepInput next(std::int64_t number);

  /// As BatchLoader has them.
  void seek(Cursor cursor) { loader_.seek(cursor); }
  [[nodiscard]] Cursor cursor() const { return loader_.cursor(); }
  [[nodiscard]] std::int64_t batches_per_epoch() const { return loader_.batches_per_epoch(); }
  [[nodiscard]] std::vector<std::int64_t> global_ids(Cursor cursor) const {
    return loader_.global_ids(cursor);
  }

 private:
  [[nodiscard]] torch::Tensor as_tensor(const Batch& batch) const;
  [[nodiscard]] torch::Tensor pixels_of(const ImageSource& source,
                                        std::span<const std::int64_t> ids, DrawKey key) const;
  [[nodiscard]] StepView view_of(const torch::Tensor& pixels, std::span<const std::int64_t> ids,
                                 DrawKey key) const;

  const TrainingRun& run_;
  std::unique_ptr<DeviceCache> cache_;
  std::unique_ptr<ImageSource> ids_only_;
  CoordinateDraws draws_;  // before the loader, which draws too
  BatchLoader loader_;
};

/// Whether something that is done each `every` steps (0: never) is to be done after this one.
[[nodiscard]] inline bool due(std::int64_t step, std::int64_t every) {
  return every > 0 && step % every == 0;
}

}  // namespace gondola
