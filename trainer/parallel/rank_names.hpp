#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gondola {

/// Ranks whose hash is not the one that more than half of the ranks have: all where there is none.
/// @param hashes of the ranks in their order.
[[nodiscard]] std::vector<int> outside_majority(const std::vector<std::uint64_t>& hashes);

/// "rank 3", "ranks 0, 2"; longer lists than eight end in "and N more".
[[nodiscard]] std::string name_ranks(const std::vector<int>& ranks);

}  // namespace gondola
