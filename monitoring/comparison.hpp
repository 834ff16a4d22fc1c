#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gondola {

/// Compares runs by what they measured on held-out images: writes a self-contained HTML page of a
/// table, of what differs between the runs' options and of their curves over each other.
///
/// Runs that differ in nothing but the seed are one row: mean and standard deviation over the seeds
/// of the last evaluation, and of the lowest loss. A run is called by the last parts of its path
/// that tell it from the others.
/// @return the table as text
/// @throws ConfigError (fewer than two runs, one named twice, the same seed twice), DataError
/// (nothing was evaluated yet), MissingInputError, IoError
std::string compare_runs(const std::vector<std::filesystem::path>& run_folders,
                         const std::filesystem::path& page);

}  // namespace gondola
