#pragma once

#include <span>
#include <string>
#include <vector>

namespace gondola {

/// A command of the program, as help and the dispatch know it.
struct CommandInfo {
  std::string name;
  std::string summary;  ///< One line, without a full stop.
  std::string usage;    ///< What follows `gondola`.
};

/// Every command, in the order of the help.
[[nodiscard]] const std::vector<CommandInfo>& command_table();

/// What the user asks the program to do.
struct Command {
  std::string name;               ///< One of command_table(), or "version".
  std::vector<std::string> args;  ///< What follows the name.
};

/// Reads `gondola <command> [options]`. Without a command it is help, --version is "version", and
/// `help <command>` becomes `<command> --help`, which every command answers itself.
/// @throws ConfigError for an unknown command, with the nearest name.
[[nodiscard]] Command parse_command(int argc, const char* const* argv);

/// Usage and summary of a command followed by the help of its options: what `<command> --help`
/// prints.
[[nodiscard]] std::string command_help(const std::string& name, const std::string& options);

/// `gondola help`: prints the command table, docs/options.md for --markdown, the manual page for
/// --man or the script for --bash-completion; returns the exit code. @throws ConfigError for other
/// arguments.
int run_help(std::span<const std::string> args);

}  // namespace gondola
