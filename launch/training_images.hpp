#pragma once

#include <cstdint>
#include <memory>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// The images of a run.
struct TrainingImages {
  std::unique_ptr<ImageSource> train;
  std::unique_ptr<ImageSource> held_out;          ///< Null where the dataset has no test split.
  std::unique_ptr<ImageSource> targets;           ///< Other modality of `train`; translation only.
  std::unique_ptr<ImageSource> held_out_targets;  ///< The same of `held_out`.

  [[nodiscard]] ImageShape shape() const { return shape_of(*train); }
  /// Of all that a checkpoint's run learns from: the images' own where they have no targets.
  [[nodiscard]] std::uint64_t fingerprint() const;
};

/// @throws DataError where test images or targets have another shape than the training images, or
/// an image has no target
[[nodiscard]] TrainingImages open_training_images(const DataSection& data);

/// What it may take a rank to open them: files of other programs are read in full, and one machine
/// may have them in memory where another has a slow disk. None for those of `import`.
[[nodiscard]] double seconds_to_open(const DataSection& data);

/// Collective. The images must be the same on every rank (C6).
void compare_images(const TrainingImages& images, Communicator& control);

/// Sets what the config leaves to the data: latent.step_size, and model.classes for families that
/// learn classes. Every rank has the same labels and comes to the same.
/// @throws DataError for a label that is none of the classes
void resolve_from_images(RunConfig& config, const TrainingImages& images);

}  // namespace gondola
