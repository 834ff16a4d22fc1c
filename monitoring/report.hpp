#pragma once

#include <filesystem>

namespace gondola {

/// Writes <run_folder>/report.html, one page that needs no other file and no network: loss curves,
/// phase times, throughput, norms, pictures, evaluations and the config of the run, finished or
/// not. Returns its path.
/// @throws MissingInputError where there is no such run folder or it has no metrics.jsonl;
/// DataError where a row is not what DESIGN.md 8 says (a half-written last row is ignored);
/// IoError.
std::filesystem::path write_report(const std::filesystem::path& run_folder);

}  // namespace gondola
