#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gondola {

/// Edits (insert, delete, replace one character, swap two neighbours) that turn `a` into `b`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The name that someone who typed `word` most likely meant: the fewest edits away, at most a third
/// of the word's length (at least 1); the first of equals; "" when none is that near. For dotted
/// names (`section.key`) the key alone counts too.
[[nodiscard]] std::string nearest_name(std::string_view word,
                                       const std::vector<std::string>& names);

/// "; did you mean NAME?", or "" when no name is near.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& names,
                                       std::string_view prefix = "");

}  // namespace gondola
