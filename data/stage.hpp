#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace gondola {

/// Names of the copies in `folder` of the files of a dataset, a comma-separated list that
/// open_source takes in place of `list`. A copy is called after the whole path of its original.
/// @throws MissingInputError where a file or glob fits nothing
[[nodiscard]] std::string staged_paths(const std::string& list,
                                       const std::filesystem::path& folder);

/// Bytes of the files that a dataset names. @throws MissingInputError, IoError
[[nodiscard]] std::int64_t bytes_to_stage(const std::string& list);

/// What stage_files did.
struct StageReport {
  std::int64_t files = 0, copied_files = 0;
  std::int64_t copied_bytes = 0;
};

/// Copies the files of a dataset, byte by byte, to where staged_paths says; the folder is made.
///
/// A copy appears under its name when it is complete, has been read back from the disk and has the
/// XXH3 that the original had as it was read. Beside it lies a note (.xxh3) of this sum and of the
/// original's length and time of writing. A copy that is there already is read and kept where all
/// three are as noted, else it is made again.
///
/// @param progress is told of the bytes done and of all bytes, after each few MiB
/// @throws MissingInputError, DataError (an original that is written to meanwhile), IoError (the
///         disk is full or broken)
StageReport stage_files(const std::string& list, const std::filesystem::path& folder,
                        const std::function<void(std::int64_t done, std::int64_t of)>& progress);

}  // namespace gondola
