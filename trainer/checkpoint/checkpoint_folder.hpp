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

/// Of the checkpoint just written and those of earlier steps beside it, removes all but the `keep`
/// newest and the best. Later ones, which a resume passed over as damaged, neither count nor go. A
/// checkpoint loses its mark first, so that one that is half removed is never taken for complete.
/// @throws IoError
void remove_old_checkpoints(const std::filesystem::path& newest, std::int64_t keep);

/// The checkpoint that a user means by `path`: a checkpoint folder, or a run folder, of which the
/// best or else the newest is taken. Verified. @throws MissingInputError, CheckpointError
[[nodiscard]] std::filesystem::path checkpoint_named(const std::filesystem::path& path);

}  // namespace gondola
