#pragma once

#include <filesystem>

namespace gondola {

/// Reads everything in a checkpoint in a helper process and forgets it. HDF5 holds up against
/// damage, which its checksums show, but crashes on some files that were made to do so, with the
/// right checksums: then it is the helper that crashes. For checkpoints that a user names, which
/// may be a stranger's. REQUIRES a verified checkpoint, and that no other thread is inside HDF5.
/// @throws CheckpointError
void try_to_read(const std::filesystem::path& checkpoint);

}  // namespace gondola
