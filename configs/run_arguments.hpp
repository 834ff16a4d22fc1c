#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gondola {

/// The command line of a command that takes the run's options, read but not yet judged.
struct RunArguments {
  std::vector<std::pair<std::string, std::string>>
      values;                        ///< Option name ("section.key") and text.
  std::vector<std::string> configs;  ///< Every --config, in order.
  bool help = false;
  bool print_config = false;
  bool dry_run = false;
  std::vector<std::string> problems;  ///< A sentence each: unknown options, missing values, ...
};

[[nodiscard]] RunArguments read_run_arguments(std::span<const std::string> args);

/// "unknown option --latent.sise; did you mean --latent.size?"
[[nodiscard]] std::string unknown_option(const std::string& name);

}  // namespace gondola
