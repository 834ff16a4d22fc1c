#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "configs/run_config.hpp"

namespace gondola {

/// The environment variables of a process, by name.
using Environment = std::map<std::string, std::string>;

/// This process's own.
[[nodiscard]] Environment current_environment();

/// What the command line of a command that takes the run's options asks for.
struct LoadedConfig {
  RunConfig config;
  /// Where each option that was given comes from, by its name: "line 3 of my.ini".
  std::map<std::string, std::string> origins;
  std::string preset;  ///< Name of the last --config without folder and ending; "": none was named.
  bool help = false;   ///< --help
  bool print_config = false;  ///< --print-config
  bool dry_run = false;       ///< --dry-run
};

/// How far load_config looks.
enum class Check {
  kValues,    ///< Each value is of its type and in its range.
  kWholeRun,  ///< Also contradictions_of() it, so that the user sees every problem at once.
};

/// Builds a config from, in rising precedence: the defaults, the --config files in their order, the
/// environment (GONDOLA_SECTION_KEY), the command line (--section.key value, --resume =
/// --run.resume). trainer.steps and trainer.epochs stand for each other: one of them drops the
/// other of a lower precedence, unless it is 0.
///
/// A --config is a file, or the bare name of a preset: NAME.ini in the folder $GONDOLA_PRESETS or
/// in that of the program.
///
/// @param args what follows the name of the command.
/// With --help nothing is loaded; with --print-config kWholeRun checks values only.
/// @throws MissingInputError for a --config that is not there; IoError for one that cannot be read;
///         ConfigError that lists every other problem, one a line, with where it came from and the
///         nearest known name.
[[nodiscard]] LoadedConfig load_config(std::span<const std::string> args,
                                       const Environment& environment,
                                       Check check = Check::kValues);

/// The config that `text` (of an INI file, e.g. a run's config.ini) describes; what it leaves out
/// has its default.
/// @param origin what errors call it.
/// @throws ConfigError with every problem of it.
[[nodiscard]] RunConfig from_ini(std::string_view text, const std::string& origin);

/// All options as an INI file; from_ini() gives the same config back, to the last bit.
[[nodiscard]] std::string to_ini(const RunConfig& config);

}  // namespace gondola
