#include "configs/ini_text.hpp"

namespace gondola {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool in_quotes(std::string_view text) {
  return text.size() >= 2 && text.front() == '"' && text.back() == '"';
}

}  // namespace

IniContent read_ini(std::string_view text, const std::string& origin) {
  IniContent content;
  std::string section;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    const auto line = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;

    if (line.front() == '[' && line.back() == ']') {
      section = trimmed(line.substr(1, line.size() - 2));
      continue;
    }
    const auto equals = line.find('=');
    const auto key = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || key.empty()) {
      content.problems.push_back("line " + std::to_string(number) + " of " + origin + " is \"" +
                                 std::string(line) +
                                 "\": give [section], key = value, or a comment after #");
      continue;
    }
    auto value = trimmed(line.substr(equals + 1));
    if (in_quotes(value)) value = value.substr(1, value.size() - 2);
    content.entries.push_back(
        {.name = section.empty() ? std::string(key) : section + "." + std::string(key),
         .value = std::string(value),
         .line = number});
  }
  return content;
}

std::string ini_line(std::string_view key, std::string_view value) {
  const bool quote = trimmed(value).size() != value.size() || in_quotes(value);
  std::string line = std::string(key) + " =";
  if (value.empty()) return line;
  return line + (quote ? " \"" : " ") + std::string(value) + (quote ? "\"" : "");
}

}  // namespace gondola
