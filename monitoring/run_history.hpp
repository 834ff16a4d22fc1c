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

/// NaN where it was not measured.
[[nodiscard]] double metric_of(const EvalReport& evaluation, const std::string& metric);

/// The evaluation with the lowest loss; none where no loss was measured.
[[nodiscard]] const EvalReport* best_of(const std::vector<EvalReport>& evaluations);

}  // namespace gondola
