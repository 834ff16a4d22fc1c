#include "monitoring/report.hpp"

#include <cstdio>

#include "configs/errors.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"

namespace gondola {

int run_report(std::span<const std::string> args) {
  if (args.size() == 1 && (args[0] == "--help" || args[0] == "-h")) {
    std::fputs(command_help("report", "").c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  for (const auto& arg : args) {
    if (arg.starts_with("-")) {
      throw ConfigError("gondola report has no option " + arg + ": give it a run folder only");
    }
  }
  if (args.size() != 1) {
    throw ConfigError("gondola report needs one run folder, and got " +
                      std::to_string(args.size()) + ": gondola report RUN_FOLDER");
  }
  const auto path = write_report(args[0]);
  std::printf("%s\n", path.c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
