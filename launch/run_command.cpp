#include "launch/run_command.hpp"

#include <cstdio>
#include <functional>
#include <gondola_version.hpp>
#include <map>
#include <span>
#include <stdexcept>
#include <string>

#include "launch/allocator.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"
#include "launch/finish_output.hpp"
#include "launch/singleton_check.hpp"

namespace gondola {
namespace {

using Arguments = std::span<const std::string>;

int print_version(Arguments) {
  std::printf("gondola %s (%s)\n", kVersion, kRevision);
  return 0;
}

/// What runs on rank 0 alone.
const std::map<std::string, std::function<int(Arguments)>>& commands_of_one() {
  static const std::map<std::string, std::function<int(Arguments)>> commands = {
      {"help", run_help},     {"import", run_import},     {"inspect", run_inspect},
      {"report", run_report}, {"version", print_version},
  };
  return commands;
}

/// What all ranks do together.
const std::map<std::string, std::function<int(Arguments, MpiSession&)>>& commands_of_all() {
  static const std::map<std::string, std::function<int(Arguments, MpiSession&)>> commands = {
      {"bench", run_bench},
      {"encode", run_encode},
      {"eval", run_eval},
      {"train", run_train},
      {"reconstruct", run_reconstruct},
      {"sample", run_sample},
      {"interpolate", run_interpolate},
      {"export", run_export},
  };
  return commands;
}

}  // namespace

int run_command(int argc, const char* const* argv, MpiSession& mpi) {
  const auto command = parse_command(argc, argv);
  if (const auto found = commands_of_one().find(command.name); found != commands_of_one().end()) {
    if (mpi.rank() != 0) return 0;
    const int code = found->second(command.args);
    finish_output();
    return code;
  }
  if (const auto found = commands_of_all().find(command.name); found != commands_of_all().end()) {
    refuse_singletons(mpi.size());
    keep_freed_memory();
    const int code = found->second(command.args, mpi);
    // The results of training are in its run folder.
    if (command.name != "train") finish_output();
    return code;
  }
  throw std::logic_error("the command " + command.name + " is in the table but has no function");
}

}  // namespace gondola
