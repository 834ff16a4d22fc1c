#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/pending_sum.hpp"

namespace gondola {

/// Sums of CPU tensors over MPI in two halves, neither of which blocks: every rank sends each of
/// the others that one's part of the tensor (MPI_Ialltoallv), adds up the W parts that came to it
/// in rank order, and sends the result to all (MPI_Iallgatherv). Each element is added up once, at
/// one place, so all ranks get the same bits.
///
/// All ranks must start the collectives of a communicator in one order, and first halves end in
/// any: second halves have a communicator of their own, on which they follow the order of the sums.
///
/// MPI moves data in calls to it only, where the network does not do that by itself: progress().
/// A sum is a collective in CollectiveProgress from its start to its end. Used by the thread that
/// started MPI.
class MpiStartedSums {
 public:
  /// `progress` must outlive this object.
  explicit MpiStartedSums(CollectiveProgress& progress);
  /// What MPI may still write to stays allocated where a sum has not ended. Starts no collective.
  ~MpiStartedSums();
  MpiStartedSums(const MpiStartedSums&) = delete;
  MpiStartedSums& operator=(const MpiStartedSums&) = delete;

  /// Collective over `parent`, the same for every sum; blocking for the first. @param tensor
  /// contiguous float32 or float64, of fewer than 2^31 values. The sum must not outlive this
  /// object. @throws CommError
  [[nodiscard]] std::unique_ptr<PendingSum> start(const torch::Tensor& tensor, MPI_Comm parent);

  /// Collective. REQUIRES that all sums have ended; nothing is started afterwards. @throws
  /// CommError
  void close();

 private:
  class Sum;
  class Handle;

  /// As far as can be without waiting.
  void progress();
  /// Until the sum of this number has ended, and those before it.
  void wait_for(std::uint64_t number);

  CollectiveProgress& progress_;
  MPI_Comm first_halves_ = MPI_COMM_NULL;
  MPI_Comm second_halves_ = MPI_COMM_NULL;
  std::deque<std::unique_ptr<Sum>> sums_;  ///< Under way, in the order of their starts.
};

}  // namespace gondola
