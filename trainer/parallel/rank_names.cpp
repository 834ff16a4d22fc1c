#include "trainer/parallel/rank_names.hpp"

#include <algorithm>
#include <map>

namespace gondola {

std::vector<int> outside_majority(const std::vector<std::uint64_t>& hashes) {
  std::map<std::uint64_t, std::size_t> votes;
  for (const auto hash : hashes) ++votes[hash];
  std::vector<int> ranks;
  for (std::size_t r = 0; r < hashes.size(); ++r) {
    if (2 * votes[hashes[r]] <= hashes.size()) ranks.push_back(static_cast<int>(r));
  }
  return ranks;
}

std::string name_ranks(const std::vector<int>& ranks) {
  constexpr std::size_t kNamed = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kNamed); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
  }
  if (ranks.size() > kNamed) text += " and " + std::to_string(ranks.size() - kNamed) + " more";
  return text;
}

}  // namespace gondola
