#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/parallel/device_stream.hpp"

struct ncclComm;

namespace gondola {

class NcclCompletion;

/// Collectives over NCCL for CUDA tensors, one GPU a rank. Present in builds with CUDA only; others
/// reach it through make_communicator().
///
/// Every call is put on the current stream of the device, so its result serves the next operation
/// there and the host goes on. A sum that is only started runs on a stream of its own, behind what
/// lies on the current one; that one is held at wait(). A helper thread marks the collective as
/// left in CollectiveProgress once the GPU is past it, and notes NCCL's asynchronous errors. The
/// training thread finds them in its next call or in a barrier that it waits in: it starts nothing
/// more, gives what is under way a few seconds to end, aborts the communicator and throws. So
/// nothing is put on the stream while another thread aborts.
///
/// An abort belongs to the collective that it ends: draining it and the abort have what is left of
/// the time that the watchdog gives that one.
class NcclCommunicator final : public Communicator {
 public:
  /// Collective over `world`, whose rank 0 sends the unique id. Makes `device`, to which `stream`
  /// belongs, current. `progress` must outlive this object.
  /// @throws CommError where the peers do not come within `timeout_seconds`.
  NcclCommunicator(const torch::Device& device, std::unique_ptr<DeviceStream> stream,
                   MPI_Comm world, CollectiveProgress& progress, double timeout_seconds);
  ~NcclCommunicator() override;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  /// REQUIRES a tensor on this communicator's device, as do broadcast and all_gather.
  void all_reduce_sum(torch::Tensor& tensor) override;
  [[nodiscard]] std::unique_ptr<PendingSum> start_all_reduce_sum(torch::Tensor& tensor) override;
  void broadcast(torch::Tensor& tensor, int root) override;
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override;
  /// Waits on the host: returns when every rank's GPU has come here.
  void barrier() override;
  /// Waits for what is on the stream.
  void close() override;

 private:
  class StartedSum;

  /// Runs `enqueue` (it returns an ncclResult_t as int) on `stream` as one collective, behind those
  /// on the other stream: NCCL wants one order.
  void launch(const DeviceStream& stream, const char* call, std::int64_t bytes,
              const std::function<int(void* stream)>& enqueue);
  /// Of all_reduce_sum() and start_all_reduce_sum().
  void add(const DeviceStream& stream, const torch::Tensor& tensor);
  /// Waits until a non-blocking call is through; nullptr, or words for an error or a timeout.
  [[nodiscard]] const char* fault_of(int result) const;
  /// The same; aborts and throws where there is a fault.
  void await(const char* call, int result);
  /// Aborts the communicator. @throws CommError always
  [[noreturn]] void fail(const char* call, const std::string& words);
  void require_open(const char* call) const;
  void require_here(const torch::Tensor& tensor) const;

  torch::Device device_;
  std::unique_ptr<DeviceStream> stream_;
  std::unique_ptr<DeviceStream> beside_;  ///< Of sums that are started only.
  std::unique_ptr<StreamMark> started_;   ///< Behind the last of them, until `stream_` is held.
  CollectiveProgress& progress_;
  std::chrono::duration<double> timeout_;
  ncclComm* comm_ = nullptr;
  int rank_ = 0;
  int size_ = 1;
  std::unique_ptr<NcclCompletion> completion_;
};

}  // namespace gondola
