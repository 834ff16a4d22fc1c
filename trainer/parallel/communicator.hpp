#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "trainer/parallel/pending_sum.hpp"

namespace gondola {

/// The collectives of one group of ranks. Every call is blocking for the host in the sense that its
/// result may be used by the next operation on the same device (NCCL: stream-ordered). All ranks
/// make the same calls in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// Collective. Adds `tensor` over the ranks, in place; the result is bit-identical on all ranks.
  /// REQUIRES contiguous float32, float64 or int64, the same shape on every rank. @throws CommError
  virtual void all_reduce_sum(torch::Tensor& tensor) = 0;
  /// Collective. The same, started only, so that other work can be done meanwhile; the bits may
  /// differ from those of all_reduce_sum(), not from rank to rank. The tensor's memory stays until
  /// it has ended. Here: done at once. @throws CommError
  [[nodiscard]] virtual std::unique_ptr<PendingSum> start_all_reduce_sum(torch::Tensor& tensor);
  /// Whether several sums that are started at once take less time than one after another.
  [[nodiscard]] virtual bool pipelines_sums() const { return false; }
  /// Collective. Copies root's `tensor` to every rank, in place. Any dtype, contiguous. @throws
  /// CommError
  virtual void broadcast(torch::Tensor& tensor, int root) = 0;
  /// Collective. [...] on each rank -> [W, ...], the same on all ranks. @throws CommError
  [[nodiscard]] virtual torch::Tensor all_gather(const torch::Tensor& tensor) = 0;
  /// Collective. Returns when every rank has entered. @throws CommError
  virtual void barrier() = 0;
  /// Collective. Ends the communicator in order; nothing may be called afterwards. A destructor
  /// does not: it waits for no peer. @throws CommError
  virtual void close() {}
};

}  // namespace gondola
