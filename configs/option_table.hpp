#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "configs/option.hpp"
#include "configs/run_config.hpp"

namespace gondola {

/// Every option, in the order of RunConfig. An option whose `auto` depends on another one comes
/// after it, so setting all of them in this order gives the right result.
[[nodiscard]] const std::vector<Option>& option_table();

/// nullptr when there is no such option.
[[nodiscard]] const Option* find_option(std::string_view name);

/// The value of a known option as text, e.g. value_of(config, "model.decoder") = "conv".
[[nodiscard]] std::string value_of(const RunConfig& config, std::string_view name);

/// A config with every default in place (for `model.activation`, what `auto` means for the default
/// decoder).
[[nodiscard]] RunConfig default_config();

}  // namespace gondola
