#include "configs/option.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "configs/value_text.hpp"

namespace gondola {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

bool Range::contains(double value) const {
  if (!std::isfinite(value)) return false;
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::in_words() const {
  const bool bounded_below = std::isfinite(low), bounded_above = std::isfinite(high);
  if (bounded_below && bounded_above) {
    return (low_open ? "above " : "") + to_text(low) + " to " + (high_open ? "below " : "") +
           to_text(high);
  }
  if (bounded_below) return (low_open ? "> " : ">= ") + to_text(low);
  if (bounded_above) return (high_open ? "< " : "<= ") + to_text(high);
  return "";
}

std::string Option::environment_name() const {
  std::string name = "GONDOLA_" + section + "_" + key;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

std::string Option::expectation() const {
  std::string words;
  switch (type) {
    case OptionType::kFlag:
      return "true or false";
    case OptionType::kText:
      return "text on one line";
    case OptionType::kChoice:
      return "one of " + (auto_word.empty() ? "" : auto_word + ", ") + joined(choices);
    case OptionType::kWholeNumber:
      words = "a whole number";
      break;
    case OptionType::kNumber:
      words = "a number";
      break;
  }
  const auto bounds = range.in_words();
  words += (bounds.empty() ? "" : " ") + bounds;
  return auto_word.empty() ? words : auto_word + " or " + words;
}

std::string Option::range_problem(const RunConfig& config, const std::string& origin) const {
  if (!number || range.contains(number(config))) return "";
  return name() + " = " + get(config) + (origin.empty() ? "" : " (" + origin + ")") +
         " is out of range: give " + expectation();
}

}  // namespace gondola
