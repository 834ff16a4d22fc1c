#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Rectangles of equal area that an image is cut into.
struct Strata {
  std::int64_t rows = 1, columns = 1;
};

/// The cut of an H x W image into `count` rectangles whose sides differ least, none of them
/// narrower than a pixel; nothing where each such cut has one side more than twice the other.
[[nodiscard]] std::optional<Strata> strata_of(std::int64_t count, std::int64_t height,
                                              std::int64_t width);

/// What keeps the pixels of an H x W image from being drawn so: the end of a sentence that begins
/// with the option and its value; "" where nothing does.
[[nodiscard]] std::string coordinate_set_problem(const CoordinateSet& set, std::int64_t height,
                                                 std::int64_t width);

}  // namespace gondola
