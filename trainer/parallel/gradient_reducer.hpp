#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "trainer/parallel/bucket_choice.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// The sum of a flat gradient buffer that has been started: one PendingSum for each bucket.
class PendingReduction {
 public:
  /// As PendingSum's, of all buckets.
  void progress() {
    for (const auto& sum : sums_) sum->progress();
  }
  /// Collective. @throws CommError
  void wait() {
    for (const auto& sum : sums_) sum->wait();
  }
  void add(std::unique_ptr<PendingSum> sum) { sums_.push_back(std::move(sum)); }

 private:
  std::vector<std::unique_ptr<PendingSum>> sums_;
};

/// Adds a flat gradient buffer over the ranks, bucket by bucket, so that what a collective needs
/// besides the buffer stays bounded by a bucket. Where the communicator adds in rank order
/// (MpiCommunicator) the cut does not change a bit of the sum.
///
/// Waiting for slower ranks is not this class's: a caller that wants it apart (Phase::kWait) calls
/// Communicator::barrier() before reduce() and times the two.
class GradientReducer {
 public:
  /// `communicator` must outlive this object. REQUIRES bucket_bytes > 0, the same on every rank.
  explicit GradientReducer(Communicator& communicator, std::int64_t bucket_bytes = kLargestBucket);

  /// Collective. flat [n] float32 or float64 becomes its sum over the ranks, in place.
  /// @return bytes this rank gave to all-reduces: the buffer's, or 0 in a world of one.
  /// @throws CommError
  std::int64_t reduce(torch::Tensor& flat);

  /// Collective. The same, all buckets being started only. @throws CommError
  [[nodiscard]] PendingReduction start(torch::Tensor& flat);

 private:
  /// Calls `of_bucket(bucket)` for each, in a world of more than one.
  void for_buckets(torch::Tensor& flat, const std::function<void(torch::Tensor&)>& of_bucket);

  Communicator& communicator_;
  std::int64_t bucket_bytes_;
};

}  // namespace gondola
