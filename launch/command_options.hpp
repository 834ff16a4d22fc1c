#pragma once

#include <boost/program_options.hpp>
#include <optional>
#include <span>
#include <string>

namespace gondola {

/// Parses the arguments of a command: the options of `visible`, --help, and one positional
/// argument, stored under `positional`. Nothing where --help was asked for (and printed).
/// @throws ConfigError with the nearest option for an unknown one
[[nodiscard]] std::optional<boost::program_options::variables_map> parse_command_options(
    const std::string& command, std::span<const std::string> args, const std::string& positional,
    boost::program_options::options_description visible);

}  // namespace gondola
