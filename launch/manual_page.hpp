#pragma once

#include <string>

namespace gondola {

/// gondola(1) as troff source, from the command table, the option table and the exit codes: what
/// `gondola help --man` prints.
[[nodiscard]] std::string manual_page();

}  // namespace gondola
