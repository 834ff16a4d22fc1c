#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/parallel/mpi_nodes.hpp"
#include "trainer/parallel/mpi_started_sums.hpp"

namespace gondola {

/// How an all-reduce is carried out and cut. Every rank must use the same values.
struct MpiCommunicatorOptions {
  /// Floating-point sums whose tensors of all ranks together have at most so many bytes are
  /// gathered and added in rank order.
  std::int64_t gather_bytes = 256 * 1024;
  /// Larger ones are MpiStartedSums, except among so many ranks: the messages of MPI's own
  /// reduce-scatter and all-gather are fewer, their order of additions is its own.
  int few_messages_from = 64;
  /// Neighbours that count as the ranks of one machine; 0: as MPI finds.
  int ranks_a_node = 0;
  /// Most elements that one MPI call carries (its counts are 32-bit).
  std::int64_t largest_count = std::int64_t{1} << 28;
};

/// Collectives over MPI for CPU tensors.
///
/// A floating-point sum has the same bits on every rank whatever MPI does inside, by construction:
/// each element is added up once, at one place, and that result is copied. Small tensors are
/// gathered and added by every rank, of large ones each rank adds its share (MpiStartedSums): both
/// in the order of MpiNodes, over the ranks of each machine and then over machines, so that the
/// bits do not depend on how a buffer is cut into tensors, unless there are few_messages_from
/// ranks. MPI_Allreduce promises equal bits only as advice to implementors, so it serves integers
/// alone.
///
/// Holds a duplicate of the communicator it was made from. The destructor starts no collective and
/// leaves the duplicate to MPI_Finalize; close() frees it. Used by the thread that started MPI.
class MpiCommunicator final : public Communicator {
 public:
  /// Collective over `parent`. `progress` must outlive this object. @throws CommError
  MpiCommunicator(MPI_Comm parent, CollectiveProgress& progress,
                  MpiCommunicatorOptions options = {});

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  /// REQUIRES a CPU tensor, as do broadcast and all_gather.
  void all_reduce_sum(torch::Tensor& tensor) override;
  /// As MpiStartedSums has it; integers, and tensors that one MPI call cannot carry, are added at
  /// once.
  [[nodiscard]] std::unique_ptr<PendingSum> start_all_reduce_sum(torch::Tensor& tensor) override;
  [[nodiscard]] bool pipelines_sums() const override { return size_ < options_.few_messages_from; }
  void broadcast(torch::Tensor& tensor, int root) override;
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override;
  void barrier() override;
  /// Frees the duplicate.
  void close() override;

 private:
  template <typename Value>
  void add_floating(torch::Tensor& tensor);
  template <typename Value>
  void add_small(Value* values, std::int64_t count);
  template <typename Value>
  void add_in_few_messages(const torch::Tensor& values);
  void add_integers(torch::Tensor& tensor);

  MPI_Comm comm_ = MPI_COMM_NULL;
  CollectiveProgress& progress_;
  MpiCommunicatorOptions options_;
  std::unique_ptr<MpiNodes> nodes_;
  std::unique_ptr<MpiStartedSums> started_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace gondola
