#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/image_shape.hpp"

namespace gondola {

using Clock = std::chrono::steady_clock;

[[nodiscard]] double seconds_since(Clock::time_point start);

/// REQUIRES at least one value.
[[nodiscard]] double median(std::vector<double> values);

/// The smallest value that at least this share of them do not exceed. REQUIRES at least one value
/// and 0 < share <= 1.
[[nodiscard]] double quantile(std::vector<double> values, double share);

/// {"median":..,"min":..,"max":..}. REQUIRES at least one value.
[[nodiscard]] nlohmann::ordered_json spread(const std::vector<double>& values);

}  // namespace gondola
