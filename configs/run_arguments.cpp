#include "configs/run_arguments.hpp"

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>

#include "configs/nearest_name.hpp"
#include "configs/option_table.hpp"

namespace gondola {
namespace {

namespace po = boost::program_options;

const std::vector<std::string> kSwitches = {"help", "print-config", "dry-run"};

/// Every option takes its value optionally, so that a missing one is told together with all other
/// problems.
po::options_description described_options() {
  po::options_description described;
  const auto value = [] { return po::value<std::string>()->implicit_value(""); };
  for (const auto& option : option_table()) described.add_options()(option.name().c_str(), value());
  described.add_options()("config", value())("resume", value());
  for (const auto& name : kSwitches) described.add_options()(name.c_str(), value());
  return described;
}

/// `--name=` as two words: Boost refuses an empty text after the equal sign.
std::vector<std::string> split_empty_values(std::span<const std::string> args) {
  std::vector<std::string> words;
  for (const auto& arg : args) {
    const bool empty_value = arg.starts_with("--") && arg.find('=') + 1 == arg.size();
    words.push_back(empty_value ? arg.substr(0, arg.size() - 1) : arg);
    if (empty_value) words.emplace_back();
  }
  return words;
}

void add_switch(const std::string& name, const std::vector<std::string>& value,
                RunArguments& read) {
  if (!value.empty()) {
    read.problems.push_back("--" + name + " takes no value, but \"" + value.front() +
                            "\" follows it: leave that out");
  }
  if (name == "help") read.help = true;
  if (name == "print-config") read.print_config = true;
  if (name == "dry-run") read.dry_run = true;
}

void add_option(const std::string& name, const std::vector<std::string>& value,
                RunArguments& read) {
  const Option* option = find_option(name == "resume" ? "run.resume" : name);
  const bool bare_flag = value.empty() && option != nullptr && option->type == OptionType::kFlag;
  if (value.empty() && !bare_flag) {
    const std::string wanted = name == "config"   ? "a file or the name of a preset"
                               : name == "resume" ? "auto or the path of a checkpoint"
                                                  : option->expectation();
    read.problems.push_back("--" + name + " has no value: give " + wanted);
  } else if (name == "config") {
    read.configs.push_back(value.front());
  } else {
    read.values.emplace_back(option->name(), bare_flag ? "true" : value.front());
  }
}

}  // namespace

std::string unknown_option(const std::string& name) {
  std::vector<std::string> names = kSwitches;
  names.insert(names.end(), {"config", "resume"});
  for (const auto& option : option_table()) names.push_back(option.name());
  const auto meant = did_you_mean(name, names, "--");
  return "unknown option --" + name +
         (meant.empty() ? ": gondola train --help lists all options" : meant);
}

RunArguments read_run_arguments(std::span<const std::string> args) {
  namespace style = po::command_line_style;
  const auto described = described_options();
  const auto parsed =
      po::command_line_parser(split_empty_values(args))
          .options(described)
          .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
          .allow_unregistered()
          .run();

  RunArguments read;
  bool after_unknown = false;
  for (const auto& found : parsed.options) {
    const bool positional = found.position_key >= 0;
    const bool value_of_unknown = positional && after_unknown;
    after_unknown = found.unregistered && found.value.empty();
    if (value_of_unknown) continue;

    const auto& name = found.string_key;
    if (found.unregistered) {
      read.problems.push_back(unknown_option(name));
    } else if (positional && found.value.front() == "-h") {
      read.help = true;
    } else if (positional) {
      read.problems.push_back("unexpected argument \"" + found.value.front() +
                              "\": options are written --section.key VALUE");
    } else if (name == "help" || name == "print-config" || name == "dry-run") {
      add_switch(name, found.value, read);
    } else {
      add_option(name, found.value, read);
    }
  }
  return read;
}

}  // namespace gondola
