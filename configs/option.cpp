#include "configs/option.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>

#include "configs/value_text.hpp"

namespace gondola {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// A bound in figures; one that is a whole number has no exponent.
std::string bound(double value) {
  const bool whole = value == std::trunc(value) && std::abs(value) <= 1e15;
  return whole ? to_text(static_cast<std::int64_t>(value)) : to_text(value);
}

}  // namespace

bool Range::contains(double value) const {
  if (!std::isfinite(value)) return false;
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::in_words() const {
  const bool bounded_below = std::isfinite(low), bounded_above = std::isfinite(high);
  if (bounded_below && bounded_above) {
    return (low_open ? "above " : "") + bound(low) + " to " + (high_open ? "below " : "") +
           bound(high);
  }
  if (bounded_below) return (low_open ? "> " : ">= ") + bound(low);
  if (bounded_above) return (high_open ? "< " : "<= ") + bound(high);
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
    case OptionType::kCoordinates:
      return "full, or uniform:M, stratified:M or sobol:M for M pixels, 1 or more";
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
