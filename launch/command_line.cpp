#include "launch/command_line.hpp"

#include "configs/errors.hpp"
#include "configs/nearest_name.hpp"

namespace gondola {

const std::vector<CommandInfo>& command_table() {
  static const std::vector<CommandInfo> commands = {
      {"train", "Train a model, on one rank or on many under mpirun or srun",
       "train --config FILE|PRESET [--resume auto|PATH] [--dry-run] [--print-config] "
       "[--section.key VALUE ...]"},
      {"import", "Make a dataset file from the files that a dataset is published as",
       "import FORMAT --input PATH --output FILE [options]"},
      {"inspect",
       "Show what a dataset file holds and check its checksums; of a run, which rank was missing",
       "inspect FILE [options]"},
      {"eval", "Measure a checkpoint on held-out images", "eval [options]"},
      {"reconstruct", "Draw images next to their reconstructions, at any size for implicit models",
       "reconstruct [options]"},
      {"sample", "Draw images of random latents", "sample [options]"},
      {"interpolate", "Draw the images between pairs of images", "interpolate [options]"},
      {"export", "Write the weights of a checkpoint for other programs", "export [options]"},
      {"encode", "Write the latents of images", "encode [options]"},
      {"bench", "Measure the speed of a part of the program, as lines of JSON",
       "bench WHAT [options]"},
      {"report", "Write report.html of a run folder anew, or compare runs",
       "report RUN_FOLDER | report --compare RUN_FOLDER RUN_FOLDER ..."},
      {"help", "Show this text, or the help of a command", "help [COMMAND]"},
  };
  return commands;
}

Command parse_command(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (words.empty()) return {.name = "help", .args = {}};

  std::string name = words.front();
  words.erase(words.begin());
  if (name == "--version") return {.name = "version", .args = words};
  if (name == "--help" || name == "-h") name = "help";
  if (name == "help" && !words.empty() && !words.front().starts_with("-") &&
      words.front() != "help") {
    name = words.front();
    words = {"--help"};
  }

  std::vector<std::string> names;
  for (const auto& command : command_table()) names.push_back(command.name);
  for (const auto& known : names) {
    if (name == known) return {.name = name, .args = words};
  }
  const auto meant = did_you_mean(name, names);
  throw ConfigError("unknown command " + name +
                    (meant.empty() ? ": gondola help lists all commands" : meant));
}

std::string command_help(const std::string& name, const std::string& options) {
  for (const auto& command : command_table()) {
    if (command.name != name) continue;
    return "usage: gondola " + command.usage + "\n\n" + command.summary + ".\n" +
           (options.empty() ? "" : "\n" + options);
  }
  return options;
}

}  // namespace gondola
