#if GONDOLA_WITH_CUDA

#include "trainer/parallel/nccl_communicator.hpp"

#include <nccl.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <string>
#include <thread>
#include <utility>

#include "configs/errors.hpp"
#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/nccl_completion.hpp"

namespace gondola {

using namespace std::chrono_literals;

namespace {

using Seconds = NcclCompletion::Seconds;

/// An abort in the middle of a transfer over NVLink makes schedulers take the node away: what is
/// under way gets so long to end, but no more than a tenth of the timeout. Less than the watchdog
/// waits with its own words after the timeout.
constexpr Seconds kLongestDrain{3.0};

ncclDataType_t nccl_type(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kFloat32:
      return ncclFloat32;
    case torch::kFloat64:
      return ncclFloat64;
    case torch::kInt64:
      return ncclInt64;
    default:
      TORCH_CHECK(false, "all_reduce_sum takes float32, float64 or int64, got ",
                  tensor.scalar_type());
  }
}

}  // namespace

NcclCommunicator::NcclCommunicator(const torch::Device& device,
                                   std::unique_ptr<DeviceStream> stream, MPI_Comm world,
                                   CollectiveProgress& progress, double timeout_seconds)
    : device_(device),
      stream_(std::move(stream)),
      beside_(stream_->another()),
      progress_(progress),
      timeout_(timeout_seconds) {
  mpi_check(MPI_Comm_rank(world, &rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(world, &size_), "MPI_Comm_size");
  stream_->make_current();

  const CollectiveScope scope(progress_, "ncclCommInitRank");
  ncclUniqueId id{};
  if (rank_ == 0) await("ncclGetUniqueId", ncclGetUniqueId(&id));
  mpi_check(MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, world), "MPI_Bcast");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  await("ncclCommInitRankConfig", ncclCommInitRankConfig(&comm_, size_, id, rank_, &config));
  completion_ = std::make_unique<NcclCompletion>(comm_, *stream_, progress_);
}

NcclCommunicator::~NcclCommunicator() = default;

void NcclCommunicator::close() {
  require_open("ncclCommFinalize");
  const CollectiveScope scope(progress_, "ncclCommFinalize");
  if (const auto fault = completion_->wait(timeout_); !fault.empty()) {
    fail("ncclCommFinalize", fault);
  }
  completion_.reset();
  await("ncclCommFinalize", ncclCommFinalize(comm_));
  const auto result = ncclCommDestroy(std::exchange(comm_, nullptr));
  if (result != ncclSuccess) fail("ncclCommDestroy", ncclGetErrorString(result));
}

const char* NcclCommunicator::fault_of(int result) const {
  auto state = static_cast<ncclResult_t>(result);
  const auto last = std::chrono::steady_clock::now() + timeout_;
  while (state == ncclInProgress) {
    if (std::chrono::steady_clock::now() > last) return kPeersLate;
    std::this_thread::sleep_for(100us);
    if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) return "no asynchronous state";
  }
  return state == ncclSuccess ? nullptr : ncclGetErrorString(state);
}

void NcclCommunicator::fail(const char* call, const std::string& words) {
  // Both the draining and the abort may hang: the watchdog is to see it, in the collective's time.
  const CollectiveScope scope(progress_, "ncclCommAbort", /*bytes=*/0, Since::kOuterEntered);
  if (completion_) completion_->drain(std::min<Seconds>(kLongestDrain, timeout_ / 10));
  completion_.reset();
  if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
  throw CommError(std::string(call) + " failed on " + device_.str() + " with \"" + words +
                  "\": restart from the last checkpoint (NCCL_DEBUG=INFO tells more)");
}

void NcclCommunicator::await(const char* call, int result) {
  if (const char* fault = fault_of(result)) fail(call, fault);
}

void NcclCommunicator::launch(const DeviceStream& stream, const char* call, std::int64_t bytes,
                              const std::function<int(void*)>& enqueue) {
  require_open(call);
  const bool beside = &stream == beside_.get();
  std::string fault;
  {
    const auto held = completion_->lock();
    fault = completion_->fault();
    if (fault.empty()) {
      if (beside) {
        stream_->mark()->hold(stream.current());
      } else if (started_) {
        std::exchange(started_, nullptr)->hold(stream.current());
      }
      completion_->enter(call, bytes);
      // The first collective connects the ranks, which is waited for here.
      if (const char* words = fault_of(enqueue(stream.current()))) fault = words;
    }
    if (fault.empty()) {
      completion_->enqueued(stream.mark());
      if (beside) started_ = stream.mark();
    }
  }
  if (!fault.empty()) fail(call, fault);
}

void NcclCommunicator::require_open(const char* call) const {
  TORCH_CHECK(comm_ != nullptr, call, " on a communicator that was closed or aborted");
}

void NcclCommunicator::require_here(const torch::Tensor& tensor) const {
  TORCH_CHECK(tensor.device() == device_ && tensor.is_contiguous(),
              "NCCL needs a contiguous tensor on ", device_, ", got ", tensor.sizes(), " on ",
              tensor.device());
}

void NcclCommunicator::add(const DeviceStream& stream, const torch::Tensor& tensor) {
  require_here(tensor);
  const auto type = nccl_type(tensor);
  launch(stream, "ncclAllReduce", static_cast<std::int64_t>(tensor.nbytes()), [&](void* on) {
    void* const data = tensor.mutable_data_ptr();
    return ncclAllReduce(data, data, static_cast<std::size_t>(tensor.numel()), type, ncclSum, comm_,
                         static_cast<cudaStream_t>(on));
  });
}

void NcclCommunicator::all_reduce_sum(torch::Tensor& tensor) { add(*stream_, tensor); }

/// Keeps the tensor's memory until the current stream is held.
class NcclCommunicator::StartedSum final : public PendingSum {
 public:
  StartedSum(torch::Tensor tensor, std::unique_ptr<StreamMark> mark, const DeviceStream& stream)
      : tensor_(std::move(tensor)), mark_(std::move(mark)), stream_(stream) {}
  void wait() override { mark_->hold(stream_.current()); }

 private:
  torch::Tensor tensor_;
  std::unique_ptr<StreamMark> mark_;
  const DeviceStream& stream_;
};

std::unique_ptr<PendingSum> NcclCommunicator::start_all_reduce_sum(torch::Tensor& tensor) {
  add(*beside_, tensor);
  return std::make_unique<StartedSum>(tensor, beside_->mark(), *stream_);
}

void NcclCommunicator::broadcast(torch::Tensor& tensor, int root) {
  require_here(tensor);
  launch(*stream_, "ncclBroadcast", static_cast<std::int64_t>(tensor.nbytes()), [&](void* stream) {
    void* const data = tensor.mutable_data_ptr();
    return ncclBroadcast(data, data, tensor.nbytes(), ncclUint8, root, comm_,
                         static_cast<cudaStream_t>(stream));
  });
}

torch::Tensor NcclCommunicator::all_gather(const torch::Tensor& tensor) {
  require_here(tensor);
  auto sizes = tensor.sizes().vec();
  sizes.insert(sizes.begin(), size_);
  auto all = torch::empty(sizes, tensor.options().requires_grad(false));  // [W, ...]
  launch(*stream_, "ncclAllGather", static_cast<std::int64_t>(tensor.nbytes()), [&](void* stream) {
    return ncclAllGather(tensor.const_data_ptr(), all.mutable_data_ptr(), tensor.nbytes(),
                         ncclUint8, comm_, static_cast<cudaStream_t>(stream));
  });
  return all;
}

void NcclCommunicator::barrier() {
  auto one = torch::ones({1}, torch::TensorOptions(device_).dtype(torch::kInt64));
  all_reduce_sum(one);
  // Host sync: this is what a barrier is for. Not in one.item(), which no fault would end.
  const auto fault = completion_->wait(Seconds(std::numeric_limits<double>::infinity()));
  if (!fault.empty()) fail("ncclAllReduce", fault);
  const auto sum = one.item<std::int64_t>();
  TORCH_CHECK(sum == size_, "a barrier over ", size_, " ranks counted ", sum);
}

}  // namespace gondola

#endif
