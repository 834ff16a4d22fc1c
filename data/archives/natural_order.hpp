#pragma once

#include <string_view>

namespace gondola {

/// Whether `left` comes before `right` with runs of digits compared as numbers: img2 before img10.
[[nodiscard]] bool natural_less(std::string_view left, std::string_view right);

}  // namespace gondola
