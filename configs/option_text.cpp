#include "configs/option_text.hpp"

#include <algorithm>
#include <sstream>
#include <vector>

#include "configs/ini_text.hpp"
#include "configs/option_table.hpp"

namespace gondola {
namespace {

/// What stands for the value in usage: N, X, PATH-like text, or the words to choose from.
std::string placeholder(const Option& option) {
  const std::string automatic = option.auto_word.empty() ? "" : option.auto_word + "|";
  switch (option.type) {
    case OptionType::kWholeNumber:
      return automatic + "N";
    case OptionType::kNumber:
      return automatic + "X";
    case OptionType::kFlag:
      return "true|false";
    case OptionType::kText:
      return "TEXT";
    case OptionType::kCoordinates:
      return "full|SAMPLER:M";
    case OptionType::kChoice:
      break;
  }
  std::string words = automatic;
  for (const auto& choice : option.choices) words += choice + "|";
  words.pop_back();
  return words;
}

/// Text cut into lines of at most `width` characters where words allow it.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (lines.empty() || lines.back().size() + 1 + word.size() > width) {
      lines.push_back(word);
    } else {
      lines.back() += " " + word;
    }
  }
  return lines;
}

/// ">= 1 steps; default 10".
std::string range_and_default(const Option& option) {
  std::string text = option.range.in_words();
  if (!option.unit.empty()) text += (text.empty() ? "" : " ") + option.unit;
  if (!text.empty()) text += "; ";
  return text + (option.default_text.empty() ? "default empty" : "default " + option.default_text);
}

std::string escaped(std::string text) {
  for (auto at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.insert(at, "\\");
  }
  return text;
}

}  // namespace

std::string options_help() {
  constexpr std::size_t kWidth = 96;
  std::ostringstream out;
  out << "  --config FILE|PRESET   INI file, or name of a shipped one; repeatable, the later wins\n"
         "  --resume auto|PATH     short for --run.resume\n"
         "  --dry-run              check config, data and world, print the plan, train nothing\n"
         "  --print-config         print the config as an INI file that says where values come "
         "from, and end\n"
         "  --help                 print this text, and end\n\n"
         "Every option below is also a `key = value` under `[section]` in an INI file and a "
         "variable\n"
         "GONDOLA_SECTION_KEY; command line > environment > INI files > defaults.\n\n";
  std::string section;
  for (const auto& option : option_table()) {
    if (option.section != section) out << (section.empty() ? "" : "\n") << option.section << ":\n";
    section = option.section;
    out << "  --" << option.name() << " " << placeholder(option) << "\n";
    for (const auto& line :
         wrapped(option.help + " (" + range_and_default(option) + ")", kWidth - 6)) {
      out << "      " << line << "\n";
    }
  }
  return out.str();
}

std::string annotated_ini(const RunConfig& config,
                          const std::map<std::string, std::string>& origins) {
  std::ostringstream out;
  std::string section;
  for (const auto& option : option_table()) {
    if (option.section != section) {
      out << (section.empty() ? "" : "\n") << "[" << option.section << "]\n";
    }
    section = option.section;
    for (const auto& line : wrapped(option.help, 96)) out << "# " << line << "\n";
    out << "# " << placeholder(option) << "; " << range_and_default(option);
    const auto origin = origins.find(option.name());
    if (origin != origins.end()) out << "; given: " << origin->second;
    out << "\n";
    out << ini_line(option.key, option.get(config)) << "\n";
  }
  return out.str();
}

std::string troff_text(const std::string& text) {
  std::string out = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (const char letter : text) {
    if (letter == '\\') {
      out += "\\e";
    } else if (letter == '-') {
      out += "\\-";
    } else {
      out += letter;
    }
  }
  return out;
}

std::string options_troff() {
  std::ostringstream out;
  std::string section;
  for (const auto& option : option_table()) {
    if (option.section != section) out << ".SS " << option.section << "\n";
    section = option.section;
    out << ".TP\n.B " << troff_text("--" + option.name() + " " + placeholder(option)) << "\n"
        << troff_text(option.help + " (" + range_and_default(option) + ")") << "\n";
  }
  return out.str();
}

std::string options_markdown() {
  std::ostringstream out;
  out << "# Options of a run\n\n"
         "<!-- Made by `gondola help --markdown > docs/options.md` from configs/option_table.cpp; "
         "a "
         "test compares them. -->\n\n"
         "Every option can be given in three ways; a later one wins over an earlier one:\n\n"
         "1. in an INI file: `[section]` and `key = value`, named by `--config FILE` (repeatable, "
         "the "
         "later file wins) or, for a shipped preset, by `--config NAME`;\n"
         "2. in the environment: `GONDOLA_SECTION_KEY`, for example `GONDOLA_TRAINER_STEPS=100`;\n"
         "3. on the command line: `--section.key value`. A `true|false` option may stand without a "
         "value, which means true; `--resume` is short for `--run.resume`.\n\n"
         "`trainer.steps` and `trainer.epochs` stand for each other: giving one, other than 0, "
         "drops the other where an earlier way has set it. `gondola train --print-config` prints "
         "the outcome, and where each value that was given comes from.\n\n"
         "In INI files a line that starts with `#` or `;` is a comment, and a value in double "
         "quotes "
         "keeps the blanks at its ends.\n\n"
         "A run may be resumed with another value only where the last column says so.\n";
  std::string section;
  for (const auto& option : option_table()) {
    if (option.section != section) {
      out << "\n## " << option.section << "\n\n"
          << "| option | values | default | meaning | may differ on resume "
             "|\n|---|---|---|---|---|\n";
    }
    section = option.section;
    const auto range = option.range.in_words();
    std::string values = "`" + placeholder(option) + "`";
    if (!range.empty()) values += " " + range;
    if (!option.unit.empty()) values += " " + option.unit;
    out << "| `" << option.name() << "` | " << escaped(values) << " | "
        << (option.default_text.empty() ? "" : "`" + option.default_text + "`") << " | "
        << escaped(option.help) << " | "
        << (option.on_resume == OnResume::kMayDiffer ? "yes" : "no") << " |\n";
  }
  return out.str();
}

}  // namespace gondola
