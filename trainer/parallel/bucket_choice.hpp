#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Seconds that the sum of n bytes over the ranks takes: latency + n * seconds_per_byte.
struct SumCost {
  double latency_seconds = 0;
  double seconds_per_byte = 0;
};

/// What auto chooses from, doubling.
inline constexpr std::int64_t kSmallestBucket = std::int64_t{1} << 20;
inline constexpr std::int64_t kLargestBucket = std::int64_t{16} << 20;

/// The smallest of them of whose seconds at most a twentieth is latency; the largest where it is
/// more of all. Small ones bound the memory beside the gradient, and stay in a processor's cache
/// from one half of the sum to the other.
[[nodiscard]] std::int64_t bucket_for(const SumCost& cost);

/// How many bytes of the gradient are reduced at a time.
struct BucketChoice {
  std::int64_t bytes = kLargestBucket;
  SumCost cost{};  ///< As measured; zeros: nothing was.
  [[nodiscard]] bool measured() const { return cost.latency_seconds + cost.seconds_per_byte > 0; }
};

/// Collective. The bucket for a flat `gradient` [P], the same on every rank. A `wanted_bytes` above
/// 0 is it. On a GPU it is the whole: NCCL cuts by itself and needs no memory of that size. On CPUs
/// rank 0 chooses it by the cost of sums, which it measures in a tenth of a second or, over a slow
/// network, in about as long as an all-reduce of the gradient takes. Not measured, and the largest,
/// where the gradient fits into two of the smallest buckets or the choice would change bits of the
/// sum (MpiCommunicator). @throws CommError
[[nodiscard]] BucketChoice choose_bucket(std::int64_t wanted_bytes, const torch::Tensor& gradient,
                                         Communicator& communicator);

}  // namespace gondola
