#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gondola {

/// Calls take(i, image ids[i]) for every image of `ids`, which lie in memory where place_of(id)
/// says. A processor fetches ahead within a page; the way to the next images it is told here.
template <typename PlaceOf, typename Take>
void gather_images(std::span<const std::int64_t> ids, std::size_t image_bytes,
                   const PlaceOf& place_of, const Take& take) {
  constexpr std::size_t kAhead = 3, kLine = 64, kMostLines = 16;
  const std::size_t lines = std::min(kMostLines, (image_bytes + kLine - 1) / kLine);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i + kAhead < ids.size()) {
      const std::uint8_t* const coming = place_of(ids[i + kAhead]);
      for (std::size_t line = 0; line < lines; ++line) {
        __builtin_prefetch(coming + line * kLine);
      }
    }
    take(i, place_of(ids[i]));
  }
}

}  // namespace gondola
