#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/rank_endpoints.hpp"

namespace gondola {

/// What one rank says of itself at /healthz.
struct RankHealth {
  std::int64_t step = 0;
  std::uint64_t sequence = 0;
  bool inside = false;
  double seconds_inside = 0.0;
};

/// What is known of one rank when a collective has timed out.
struct RankAnswer {
  bool asked = false;                ///< It has an endpoint that can be reached from here.
  std::optional<RankHealth> health;  ///< Empty: it did not answer.
};

/// Asks every reachable rank but `own` at once; each has two seconds to connect and two to answer.
/// Returns in rank order; the own entry is left unasked.
[[nodiscard]] std::vector<RankAnswer> ask_all_ranks(const std::vector<RankEndpoint>& endpoints,
                                                    int own, const std::string& token);

/// Who ends the run on a collective that has timed out, and with which words.
struct Inquest {
  int speaker = 0;  ///< The lowest rank that has waited for `patience_seconds` in the collective.
  int lower_unknown = 0;  ///< Ranks below the speaker that could not be asked and may speak too.
  std::string sentence;
};

/// @param answers of all ranks, the own entry filled in with this rank's health.
/// @param patience_seconds what a rank must have waited to be the speaker.
/// REQUIRES the own rank to be in the collective for that long.
[[nodiscard]] Inquest hold_inquest(const std::vector<RankAnswer>& answers, int own,
                                   double patience_seconds);

}  // namespace gondola
