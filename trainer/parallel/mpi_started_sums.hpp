#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/mpi_nodes.hpp"
#include "trainer/parallel/pending_sum.hpp"

namespace gondola {

/// Sums of CPU tensors over MPI as MpiShares describes them, in two halves, neither of which blocks
/// (MPI_Ialltoallv, MPI_Iallgatherv): over all ranks; or, where MpiNodes has several groups, over
/// the ranks of each machine, whose shares are then added up likewise over the machines' ranks of
/// one index, between the halves. In which order an element is added does not depend on where it
/// lies.
///
/// A few sums at a time are under way, so that the network has work while one is added up or waits
/// for an answer; the others wait for their turn and take no memory. All ranks must start the
/// collectives of a communicator in one order, and first halves end in any: second halves have a
/// communicator of their own, on which they follow the order of the sums.
///
/// MPI moves data in calls to it only, where the network does not do that by itself: progress().
/// A sum is a collective in CollectiveProgress from its start to its end. Used by the thread that
/// started MPI.
class MpiStartedSums {
 public:
  /// Both must outlive this object.
  MpiStartedSums(const MpiNodes& nodes, CollectiveProgress& progress);
  /// What MPI may still write to stays allocated where a sum has not ended. Starts no collective.
  ~MpiStartedSums();
  MpiStartedSums(const MpiStartedSums&) = delete;
  MpiStartedSums& operator=(const MpiStartedSums&) = delete;

  /// Collective over `parent`, the same for every sum; blocking for the first. @param tensor
  /// contiguous float32 or float64, of fewer than 2^31 values. The sum must not outlive this
  /// object. @param name of the collective, text that stays. @throws CommError
  [[nodiscard]] std::unique_ptr<PendingSum> start(const torch::Tensor& tensor, MPI_Comm parent,
                                                  const char* name);

  /// Collective. REQUIRES that all sums have ended; nothing is started afterwards. @throws
  /// CommError
  void close();

 private:
  struct Level;
  class Sum;
  class Handle;

  static constexpr std::size_t kUnderWay = 4;

  /// Collective over `parent`.
  void make_levels(MPI_Comm parent);
  /// As far as can be without waiting.
  void progress();
  /// Until the sum of this number has ended, and those before it.
  void wait_for(std::uint64_t number);

  const MpiNodes& nodes_;
  CollectiveProgress& progress_;
  std::vector<Level> levels_;              ///< None before the first sum.
  std::deque<std::unique_ptr<Sum>> sums_;  ///< Not ended, in the order of their starts.
};

}  // namespace gondola
