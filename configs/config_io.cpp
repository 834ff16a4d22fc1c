#include "configs/config_io.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "configs/errors.hpp"
#include "configs/ini_text.hpp"
#include "configs/nearest_name.hpp"
#include "configs/option_table.hpp"
#include "configs/preset_file.hpp"
#include "configs/run_arguments.hpp"
#include "configs/validate_config.hpp"

namespace gondola {
namespace {

constexpr std::string_view kPrefix = "GONDOLA_";

/// A value as it was given, and where ("line 3 of my.ini").
struct Setting {
  std::string text;
  std::string origin;
};

using Settings = std::map<std::string, Setting>;
using Problems = std::vector<std::string>;

/// Adds to one source's settings; the same option twice with different values is a contradiction.
void give(Settings& source, const std::string& name, Setting setting, Problems& problems) {
  const auto [known, added] = source.try_emplace(name, setting);
  if (added || known->second.text == setting.text) return;
  problems.push_back(name + " is given twice, as " + known->second.text + " (" +
                     known->second.origin + ") and as " + setting.text + " (" + setting.origin +
                     "): keep one");
}

/// Whether a source says how long to train in this unit; 0 leaves that to the other one.
bool says_length(const Settings& source, const std::string& name) {
  const auto given = source.find(name);
  return given != source.end() && given->second.text.find_first_not_of('0') != std::string::npos;
}

/// Puts the settings of a source over those of the sources before it.
void put_over(Settings& all, const Settings& source) {
  if (says_length(source, "trainer.steps")) all.erase("trainer.epochs");
  if (says_length(source, "trainer.epochs")) all.erase("trainer.steps");
  for (const auto& [name, setting] : source) all[name] = setting;
}

Settings settings_of_ini(std::string_view text, const std::string& origin, Problems& problems) {
  Settings settings;
  const auto content = read_ini(text, origin);
  problems.insert(problems.end(), content.problems.begin(), content.problems.end());
  for (const auto& entry : content.entries) {
    const auto where = "line " + std::to_string(entry.line) + " of " + origin;
    if (find_option(entry.name) == nullptr) {
      std::vector<std::string> names;
      for (const auto& option : option_table()) names.push_back(option.name());
      problems.push_back("unknown option " + entry.name + " (" + where + ")" +
                         did_you_mean(entry.name, names));
      continue;
    }
    give(settings, entry.name, {entry.value, where}, problems);
  }
  return settings;
}

Settings settings_of_file(const std::string& path, Problems& problems) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw IoError("--config " + path + " cannot be read: check its permissions");
  return settings_of_ini(text, path, problems);
}

/// "; did you mean NAME?" for a variable that can only have been meant for this program: one named
/// like a section, or a slip away from a known name. Others (of build and test scripts) are none of
/// a run's business: nullopt.
std::optional<std::string> meant_variable(const std::string& variable) {
  std::vector<std::string> names;
  bool in_section = false, slip = false;
  for (const auto& option : option_table()) {
    names.push_back(option.environment_name());
    const auto section = names.back().substr(0, kPrefix.size() + option.section.size() + 1);
    in_section = in_section || variable.starts_with(section);
    slip = slip || edit_distance(variable, names.back()) <= 2;
  }
  if (!in_section && !slip) return std::nullopt;
  return did_you_mean(variable, names);
}

Settings settings_of_environment(const Environment& environment, Problems& problems) {
  Settings settings;
  std::map<std::string, std::string> options;
  for (const auto& option : option_table()) options[option.environment_name()] = option.name();
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with(kPrefix) || value.empty()) continue;
    if (const auto known = options.find(variable); known != options.end()) {
      settings[known->second] = {value, variable + " in the environment"};
    } else if (const auto meant = meant_variable(variable)) {
      problems.push_back("unknown option " + variable + " in the environment" + *meant);
    }
  }
  return settings;
}

/// Adds the problems that no earlier one explains: those that name none of the `bad` options.
void add_contradictions(const RunConfig& config, const std::vector<std::string>& bad,
                        Problems& problems) {
  for (auto& contradiction : contradictions_of(config)) {
    const bool explained = std::any_of(bad.begin(), bad.end(), [&](const std::string& name) {
      return contradiction.find(name) != std::string::npos;
    });
    if (!explained) problems.push_back(std::move(contradiction));
  }
}

/// Sets every option, given or by default, in the order of the table.
RunConfig config_of(const Settings& settings, Check check, Problems& problems) {
  RunConfig config;
  std::vector<std::string> bad;
  for (const auto& option : option_table()) {
    const auto given = settings.find(option.name());
    if (given == settings.end()) {
      option.set(config, option.default_text);
      continue;
    }
    const auto& [text, origin] = given->second;
    if (!option.set(config, text)) {
      problems.push_back(option.name() + " = " + text + " (" + origin + ") is not " +
                         option.expectation() + did_you_mean(text, option.choices));
      bad.push_back(option.name());
    } else if (auto problem = option.range_problem(config, origin); !problem.empty()) {
      problems.push_back(std::move(problem));
      bad.push_back(option.name());
    }
  }
  if (check == Check::kWholeRun) add_contradictions(config, bad, problems);
  return config;
}

std::string preset_name(const std::string& path) {
  const auto name = path.substr(path.find_last_of('/') + 1);
  return name.ends_with(".ini") ? name.substr(0, name.size() - 4) : name;
}

}  // namespace

Environment current_environment() {
  Environment environment;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

LoadedConfig load_config(std::span<const std::string> args, const Environment& environment,
                         Check check) {
  const auto read = read_run_arguments(args);
  LoadedConfig loaded;
  loaded.help = read.help;
  loaded.print_config = read.print_config;
  loaded.dry_run = read.dry_run;
  if (loaded.help) return loaded;

  Problems problems = read.problems;
  Settings settings;
  const auto presets = environment.find("GONDOLA_PRESETS");
  const auto folders = preset_folders(presets == environment.end() ? "" : presets->second);
  for (const auto& name : read.configs) {
    const auto path = find_config_file(name, folders).string();
    put_over(settings, settings_of_file(path, problems));
    loaded.preset = preset_name(path);
  }
  put_over(settings, settings_of_environment(environment, problems));
  Settings command_line;
  for (const auto& [name, text] : read.values) {
    give(command_line, name, {text, "on the command line"}, problems);
  }
  put_over(settings, command_line);

  if (loaded.print_config) check = Check::kValues;
  loaded.config = config_of(settings, check, problems);
  for (const auto& [name, setting] : settings) loaded.origins[name] = setting.origin;
  if (!problems.empty()) throw_config_error(problems);
  return loaded;
}

RunConfig from_ini(std::string_view text, const std::string& origin) {
  Problems problems;
  const auto config = config_of(settings_of_ini(text, origin, problems), Check::kValues, problems);
  if (!problems.empty()) throw_config_error(problems);
  return config;
}

std::string to_ini(const RunConfig& config) {
  std::string text, section;
  for (const auto& option : option_table()) {
    if (option.section != section) {
      text += (section.empty() ? "[" : "\n[") + option.section + "]\n";
      section = option.section;
    }
    text += ini_line(option.key, option.get(config)) + "\n";
  }
  return text;
}

}  // namespace gondola
