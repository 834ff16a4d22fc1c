#include <algorithm>
#include <cstdio>
#include <string>

#include "configs/errors.hpp"
#include "configs/option_text.hpp"
#include "launch/bash_completion.hpp"
#include "launch/command_line.hpp"
#include "launch/manual_page.hpp"

namespace gondola {
namespace {

std::string overview() {
  std::size_t width = 0;
  for (const auto& command : command_table()) width = std::max(width, command.name.size());

  std::string text =
      "Gondola trains Gradient Origin Networks.\n\n"
      "usage: gondola COMMAND [options]\n"
      "       gondola help COMMAND\n"
      "       gondola --version\n\n"
      "commands:\n";
  for (const auto& [name, summary, usage] : command_table()) {
    text += "  " + name + std::string(width - name.size() + 2, ' ') + summary + "\n";
  }
  return text +
         "\nThe options of a run (--section.key VALUE) are listed by `gondola help train`; a first "
         "run:\n"
         "  gondola train --config quickstart --data.path synthetic:1000x1x32x32 --trainer.steps "
         "20\n";
}

}  // namespace

int run_help(std::span<const std::string> args) {
  if (args.size() == 1 && args.front() == "--markdown") {
    std::fputs(options_markdown().c_str(), stdout);
  } else if (args.size() == 1 && args.front() == "--man") {
    std::fputs(manual_page().c_str(), stdout);
  } else if (args.size() == 1 && args.front() == "--bash-completion") {
    std::fputs(bash_completion().c_str(), stdout);
  } else if (args.empty() || args.front() == "--help" || args.front() == "help") {
    std::fputs(overview().c_str(), stdout);
  } else {
    throw ConfigError("gondola help does not know " + args.front() +
                      ": give the name of a command, --markdown, --man, --bash-completion, or "
                      "nothing");
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
