#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gondola {

/// A collective of MpiCommunicator.
struct Collective {
  enum class Kind {
    kBarrier,
    kSum,         ///< Of floating-point numbers.
    kIntegerSum,  ///< Of int64.
    kBroadcast,
    kGather,  ///< all_gather
  };
  Kind kind = Kind::kBarrier;
  std::int64_t bytes = 0;  ///< Of one rank's tensor.
  bool operator==(const Collective&) const = default;
};

/// Messages of one size that follow each other.
struct Messages {
  double count = 0;
  double bytes = 0;  ///< Of each.
};

/// The messages that each of W ranks sends in turn, one after the answer to the other, for a
/// collective of n bytes. Costs of the algorithms in this form: Thakur, Rabenseifner and Gropp,
/// Optimization of Collective Communication Operations in MPICH, 2005. Which one is taken: Open MPI
/// 4.1.4, coll_tuned_decision_fixed.c, without its finer distinctions.
///
///   sum, W n <= gather_bytes   the gather of n, then additions that are not counted
///   sum, larger                W - 1 messages of n / W to the ranks that add them up, and as many
///                              from them; from few_messages_from ranks on
///     reduce-scatter           log2 W of n / 2, n / 4, ... n / W
///     all-gather, m a rank     log2 W of m, 2 m, 4 m ...; ring of W - 1 of m; or, between
///                              neighbours, W / 2 of 2 m
///   barrier, integer sum, broadcast: log2 W of n
///
/// REQUIRES ranks >= 2.
[[nodiscard]] std::vector<Messages> messages_of(const Collective& collective, std::int64_t ranks);

/// Seconds of one message of m bytes: latency + m / bandwidth, with other values for messages above
/// kShortBytes, before which MPI asks the receiver for its place (a rendezvous) over a network.
struct MessageCost {
  static constexpr double kShortBytes = 64 * 1024;
  struct Line {
    double latency_seconds = 0;
    double seconds_per_byte = 0;
  };
  Line small;
  Line large;

  [[nodiscard]] double seconds(const Collective& collective, std::int64_t ranks) const;
};

/// How long a collective took.
struct TimedCollective {
  Collective collective;
  double seconds = 0;
};

/// The costs, none below zero, that make the sum of squared relative errors least. Where no
/// measured collective sends large messages they cost what small ones cost, and the other way
/// round. REQUIRES ranks >= 2 and seconds > 0.
[[nodiscard]] MessageCost fit_message_cost(std::span<const TimedCollective> measured,
                                           std::int64_t ranks);

}  // namespace gondola
