#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gondola {

/// The checkpoints of one run: folder/step-<n>, and folder/best, a link to the one with the lowest
/// held-out loss.

/// Complete-looking checkpoints, newest first (by step). An absent folder has none.
/// @throws IoError where the folder cannot be read
[[nodiscard]] std::vector<std::filesystem::path> list_checkpoints(
    const std::filesystem::path& folder);

/// The newest checkpoint that verifies, and a sentence for each newer one that was passed over.
struct NewestCheckpoint {
  std::optional<std::filesystem::path> path;
  std::vector<std::string> skipped;
};
[[nodiscard]] NewestCheckpoint newest_complete(const std::filesystem::path& folder);

/// Points folder/best to this checkpoint, atomically. @throws IoError
void mark_best(const std::filesystem::path& checkpoint);

/// Points folder/best to the checkpoint of this step, as a run that goes on knows it: a kill may
/// have come between writing that checkpoint and pointing to it. Without such a checkpoint there is
/// no best. @throws IoError
void mark_best_again(const std::filesystem::path& folder, std::int64_t step);

/// Renames the checkpoints of steps after `step` to abandoned-step-<n>: a run that goes on from
/// `step` leaves their future, and a later resume must not fall into it. @throws IoError
void set_later_aside(const std::filesystem::path& folder, std::int64_t step);

/// Of the checkpoint just written and the complete ones of earlier steps beside it, removes all but
/// the `keep` newest and the best. A checkpoint loses its mark first, so that one that is half
/// removed is never taken for complete. @throws IoError where one is left, when the others are gone
void remove_old_checkpoints(const std::filesystem::path& newest, std::int64_t keep);

/// Removes what a kill in mid-write left. REQUIRES that no other process writes there.
/// @throws IoError
void remove_unfinished(const std::filesystem::path& folder);

/// The checkpoint that a user means by `path`: a checkpoint folder, or a run folder, of which the
/// best or else the newest is taken. Verified and read on trial (try_to_read). @throws
/// MissingInputError, CheckpointError
[[nodiscard]] std::filesystem::path checkpoint_named(const std::filesystem::path& path);

}  // namespace gondola
