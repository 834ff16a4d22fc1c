#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/step_report.hpp"

namespace gondola {

/// The rows of a metrics.jsonl, in the file's order. A number that was not finite is NaN.
struct RunHistory {
  std::vector<StepReport> steps;  ///< Of the logged steps.
  std::vector<EvalReport> evaluations;
};

/// Reads what RunLog writes, also while it is being written: a last row without its line end is
/// left out.
/// @throws MissingInputError where there is no such file; DataError naming the line where a row is
/// not as it should be.
[[nodiscard]] RunHistory read_run_history(const std::filesystem::path& metrics_jsonl);

}  // namespace gondola
