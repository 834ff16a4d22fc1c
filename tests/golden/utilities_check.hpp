#pragma once

#include <string>

#include "tests/golden/case_check.hpp"
#include "tests/golden/golden_file.hpp"

namespace gondola::golden {

/// The parts of utilities.h5 that have code here. `folder` holds the cases it refers to.
[[nodiscard]] Checks check_utilities(const GoldenFile& file, const std::string& folder);

}  // namespace gondola::golden
