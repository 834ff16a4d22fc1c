#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint/state_snapshot.hpp"
#include "trainer/checkpoint/training_state.hpp"

namespace gondola {

/// A checkpoint is a folder `step-<8 digits>` with `state.h5` (plain HDF5, see CHECKPOINT.md beside
/// this file) and `COMPLETE`, which holds the length and the xxh3 hash of state.h5. It is written
/// under a temporary name, flushed to disk and renamed: a folder of the final name is complete, or
/// was damaged later, which the hash shows.

/// Writes the state as folder/step-<n> and returns its path. On failure nothing unfinished has that
/// name and the checkpoints of other steps are untouched. Any thread may do so, one at a time for
/// each folder: HDF5 is built thread-safe (it then locks itself), or no other thread uses it while
/// training, since images that need it are refused at start-up. @throws IoError
std::filesystem::path write_checkpoint(const std::filesystem::path& folder,
                                       const StateSnapshot& state, const CheckpointOrigin& origin);

/// @throws MissingInputError where `path` is no folder, CheckpointError where it is incomplete or
/// damaged: names the path.
void verify_checkpoint(const std::filesystem::path& path);

/// What the checkpoint says about its run. REQUIRES a verified checkpoint. @throws CheckpointError
[[nodiscard]] CheckpointOrigin read_origin(const std::filesystem::path& path);

/// How far the run was. REQUIRES a verified checkpoint. @throws CheckpointError
[[nodiscard]] RunProgress read_progress(const std::filesystem::path& path);

/// Restores everything, in place. @throws CheckpointError where it is of another model or damaged:
/// then the state is not to be used.
void read_checkpoint(const std::filesystem::path& path, TrainingState& state);

/// Which weights a checkpoint offers.
enum class Weights { kLatest, kAverage };

/// Restores the weights and the running averages, and the mean image of the training set where it
/// is asked for: evaluation needs it, a model that is tuned on other images has theirs. kAverage
/// takes the moving average where the checkpoint has one. @throws CheckpointError
void read_model(const std::filesystem::path& path, Decoder& decoder, torch::Tensor* mean_image,
                Weights weights);

/// The images the checkpoint was trained on: {C, H, W}. @throws CheckpointError
[[nodiscard]] std::vector<std::int64_t> read_image_shape(const std::filesystem::path& path);

}  // namespace gondola
