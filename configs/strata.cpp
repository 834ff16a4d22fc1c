#include "configs/strata.hpp"

#include <algorithm>

namespace gondola {

std::optional<Strata> strata_of(std::int64_t count, std::int64_t height, std::int64_t width) {
  constexpr double kLongest = 2;
  std::optional<Strata> best;
  double least = kLongest;
  for (std::int64_t rows = 1; rows <= std::min(count, height); ++rows) {
    const auto columns = count / rows;
    if (count % rows != 0 || columns > width) continue;
    const double tall = static_cast<double>(height) / static_cast<double>(rows);
    const double wide = static_cast<double>(width) / static_cast<double>(columns);
    const double ratio = std::max(tall / wide, wide / tall);
    if (ratio > least || (best && ratio == least)) continue;
    best = Strata{.rows = rows, .columns = columns};
    least = ratio;
  }
  return best;
}

std::string coordinate_set_problem(const CoordinateSet& set, std::int64_t height,
                                   std::int64_t width) {
  if (set.sampler == CoordinateSampler::kFull) return "";
  const auto pixels = height * width;
  const auto size = std::to_string(height) + "x" + std::to_string(width);
  if (set.count > pixels) {
    return " draws more pixels than the " + std::to_string(pixels) + " of an image of " + size +
           ": draw fewer, or set it to full";
  }
  if (set.sampler != CoordinateSampler::kStratified || strata_of(set.count, height, width)) {
    return "";
  }
  for (std::int64_t away = 1; away < pixels; ++away) {
    for (const auto count : {set.count - away, set.count + away}) {
      if (count < 1 || count > pixels || !strata_of(count, height, width)) continue;
      return " does not cut an image of " + size +
             " into as many rectangles that are at most twice as long as wide: " +
             std::to_string(count) + " does";
    }
  }
  return " cannot cut an image of " + size + " into rectangles: draw with sobol or uniform";
}

}  // namespace gondola
