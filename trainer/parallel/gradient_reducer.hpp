#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Adds a flat gradient buffer over the ranks, bucket by bucket, so that what a collective needs
/// besides the buffer stays bounded by a bucket. The cut does not change the sum.
///
/// Waiting for slower ranks is not this class's: a caller that wants it apart (Phase::kWait) calls
/// Communicator::barrier() before reduce() and times the two.
class GradientReducer {
 public:
  /// `communicator` must outlive this object. REQUIRES bucket_bytes > 0, the same on every rank.
  explicit GradientReducer(Communicator& communicator,
                           std::int64_t bucket_bytes = std::int64_t{16} << 20);

  /// Collective. flat [n] float32 or float64 becomes its sum over the ranks, in place.
  /// @return bytes this rank gave to all-reduces: the buffer's, or 0 in a world of one.
  /// @throws CommError
  std::int64_t reduce(torch::Tensor& flat);

 private:
  Communicator& communicator_;
  std::int64_t bucket_bytes_;
};

}  // namespace gondola
