#include "monitoring/report.hpp"

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"
#include "monitoring/comparison.hpp"

namespace gondola {
namespace {

constexpr const char* kHelp =
    "report RUN_FOLDER       curves, phases, pictures and options of a run, into its report.html\n"
    "report --compare RUN_FOLDER RUN_FOLDER ... [--output FILE]\n"
    "                        a table of what the runs measured on held-out images, runs that "
    "differ "
    "only in the seed as\n"
    "                        mean ± standard deviation; and their curves over each other, on one "
    "page (comparison.html)\n";

/// The word after args[i]. @throws ConfigError
std::string value_after(std::span<const std::string> args, std::size_t i) {
  if (i + 1 < args.size()) return args[i + 1];
  throw ConfigError("gondola report: " + args[i] + " is followed by the file to write");
}

}  // namespace

int run_report(std::span<const std::string> args) {
  if (args.size() == 1 && (args[0] == "--help" || args[0] == "-h")) {
    std::fputs(command_help("report", kHelp).c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  bool compares = false;
  std::optional<std::string> output;
  std::vector<std::filesystem::path> runs;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--compare") {
      compares = true;
    } else if (args[i] == "--output") {
      output = value_after(args, i++);
    } else if (args[i].starts_with("-")) {
      throw ConfigError("gondola report has no option " + args[i] +
                        ": it has --compare and --output");
    } else {
      runs.emplace_back(args[i]);
    }
  }
  if (compares) {
    const std::filesystem::path page = output.value_or("comparison.html");
    std::printf("%s\n%s\n", compare_runs(runs, page).c_str(), page.c_str());
    return static_cast<int>(ExitCode::kDone);
  }
  if (output) {
    throw ConfigError(
        "gondola report: --output goes with --compare; a run's report is its report.html");
  }
  if (runs.size() != 1) {
    throw ConfigError("gondola report needs one run folder, and got " +
                      std::to_string(runs.size()) +
                      ": gondola report RUN_FOLDER, or --compare RUN_FOLDER RUN_FOLDER ...");
  }
  std::printf("%s\n", write_report(runs[0]).c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
