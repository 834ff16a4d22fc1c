#pragma once

#include <string>

namespace gondola {

/// A script that completes commands, options, their values and presets in bash: what
/// `gondola help --bash-completion` prints. Options of a run come from the option table; those of
/// the other commands the script asks the program for, once each.
[[nodiscard]] std::string bash_completion();

}  // namespace gondola
