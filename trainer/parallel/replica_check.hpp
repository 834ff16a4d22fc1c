#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Largest relative drift, max|a - b| / max|b| per tensor, that is mended rather than fatal.
inline constexpr double kMendableDrift = 1e-6;

/// What a replica check found; the same on every rank.
struct ReplicaVerdict {
  int reference = 0;                 ///< Rank whose state all have now: of the majority, or rank 0.
  std::vector<int> different_ranks;  ///< Ranks whose bits differed from it; empty: all equal.
  double drift = 0.0;                ///< Largest relative difference from it.
  [[nodiscard]] bool mended() const { return !different_ranks.empty(); }
  /// One sentence for the log when mended, else empty.
  [[nodiscard]] std::string warning() const;
};

/// xxh3 of the bits of contiguous tensors, one after another. Waits for their device.
[[nodiscard]] std::uint64_t hash_of(std::span<const torch::Tensor> tensors);

/// Collective. Compares the state that every rank must hold alike (flat weights, optimiser moments,
/// averages) by xxh3 hash over the ranks. Where bits differ by a relative drift below
/// kMendableDrift in every tensor, the state that more than half of the ranks have, or else rank
/// 0's, replaces the others' and the verdict says so; the caller logs warning() and counts it.
///
/// @param state contiguous tensors on the communicator's device, the same shapes on every rank.
/// @param step named in the sentences.
/// @throws CommError naming the ranks that differ: from three ranks on those outside the majority.
[[nodiscard]] ReplicaVerdict check_replicas(Communicator& communicator,
                                            std::span<torch::Tensor> state, std::int64_t step);

/// Collective. Whether `tensor` has the same bits on all ranks. Waits for the device. @throws
/// CommError
[[nodiscard]] bool same_on_all_ranks(Communicator& communicator, const torch::Tensor& tensor);

}  // namespace gondola
