#pragma once

#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "configs/run_config.hpp"

namespace gondola {

enum class OptionType { kWholeNumber, kNumber, kFlag, kText, kChoice, kCoordinates };

/// Whether a run may be resumed with another value.
enum class OnResume {
  kMustAgree,
  kKept,  ///< `auto` stands for what it has been in the run; another value must agree.
  kMayDiffer,
};

/// The values a numeric option may have; an open end excludes the bound itself.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;
  bool high_open = false;

  /// False for NaN and the infinities.
  [[nodiscard]] bool contains(double value) const;
  /// ">= 1", "> 0", "1 to 25", "0 to below 1"; "" without bounds.
  [[nodiscard]] std::string in_words() const;
};

/// One option of a run: everything that parsing, help, printing, validation and the documentation
/// need to know.
struct Option {
  std::string section;
  std::string key;
  OptionType type = OptionType::kText;
  std::vector<std::string> choices;  ///< Of a kChoice, in the order of the enum.
  Range range;                       ///< Of numbers.
  std::string unit;                  ///< "images", "steps", "seconds", ... or "".
  std::string auto_word;  ///< "auto" where that word is a value too: found out at start-up.
  std::string help;       ///< One sentence.
  OnResume on_resume = OnResume::kMustAgree;
  std::string default_text;

  /// The value as text; set(get()) gives the same value, to the last bit.
  std::function<std::string(const RunConfig&)> get;
  /// Stores a value written as text. False, the config unchanged, when it is not of the type;
  /// ranges are not looked at.
  std::function<bool(RunConfig&, std::string_view)> set;
  /// The value of a number; empty for other types.
  std::function<double(const RunConfig&)> number;

  /// "section.key".
  [[nodiscard]] std::string name() const { return section + "." + key; }
  /// "GONDOLA_SECTION_KEY".
  [[nodiscard]] std::string environment_name() const;
  /// What a value must be, in words: "a whole number >= 1", "one of siren, conv".
  [[nodiscard]] std::string expectation() const;
  /// "" when the value lies in the range, otherwise a sentence with the value and what it must be.
  /// @param origin where the value was given, e.g. "on the command line"; "" leaves it out.
  [[nodiscard]] std::string range_problem(const RunConfig& config,
                                          const std::string& origin = "") const;
};

}  // namespace gondola
