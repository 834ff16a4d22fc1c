#pragma once

#include <map>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// The help of every option, by section (what `gondola train --help` prints).
[[nodiscard]] std::string options_help();

/// The config as an INI file in which a comment explains each option and ends with its place among
/// `origins`, where it has one (what `--print-config` prints).
[[nodiscard]] std::string annotated_ini(const RunConfig& config,
                                        const std::map<std::string, std::string>& origins);

/// Every option as troff source, for the manual page.
[[nodiscard]] std::string options_troff();

/// Text as troff shows it unchanged: backslashes, hyphens and a leading point or quote escaped.
[[nodiscard]] std::string troff_text(const std::string& text);

/// docs/options.md.
[[nodiscard]] std::string options_markdown();

}  // namespace gondola
