#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gondola {

/// One `key = value` of an INI text.
struct IniEntry {
  std::string name;  ///< "section.key"
  std::string value;
  int line = 0;  ///< From 1.
};

/// What an INI text holds and which of its lines make no sense.
struct IniContent {
  std::vector<IniEntry> entries;
  std::vector<std::string> problems;  ///< A sentence each.
};

/// Reads `[section]` headings and `key = value` lines; blank lines and lines that start with # or ;
/// are skipped. Blanks around a value go, then one pair of double quotes. (Boost's own reader keeps
/// no line numbers and cuts a value at #.)
/// @param origin what problems call the text.
[[nodiscard]] IniContent read_ini(std::string_view text, const std::string& origin);

/// "key = value" without its line end, the value in quotes where reading would lose something
/// otherwise.
[[nodiscard]] std::string ini_line(std::string_view key, std::string_view value);

}  // namespace gondola
