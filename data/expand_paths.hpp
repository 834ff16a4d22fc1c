#pragma once

#include <string>
#include <vector>

namespace gondola {

/// Splits a comma-separated list of files and globs into file names; those of a glob are sorted.
/// @throws MissingInputError where a name or glob fits no file
[[nodiscard]] std::vector<std::string> expand_paths(const std::string& list);

}  // namespace gondola
