#if GONDOLA_WITH_CUDA

#include "trainer/parallel/nccl_communicator.hpp"

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>
#include <torch/types.h>

#include <mutex>
#include <string>
#include <thread>

#include "configs/errors.hpp"
#include "trainer/parallel/mpi_check.hpp"

namespace gondola {

using namespace std::chrono_literals;

/// Follows the collectives that lie on the GPU's stream: a thread that only looks.
class NcclCompletion {
 public:
  NcclCompletion(ncclComm* comm, c10::DeviceIndex device, CollectiveProgress& progress)
      : comm_(comm), progress_(progress), thread_([this, device](std::stop_token stop) {
          c10::cuda::set_device(device);  // or asking the event makes a context on the first GPU
          run(stop);
        }) {}

  /// Held while the training thread calls NCCL, whose communicators serve one thread at a time.
  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  /// REQUIRES lock(). A collective is about to be put on the stream.
  void enter(const char* call, std::int64_t bytes) {
    if (pending_ > 0) progress_.leave(pending_);
    pending_ = progress_.enter(call, bytes);
    event_ = c10::cuda::CUDAEvent(cudaEventDisableTiming);
  }
  /// REQUIRES lock(). It was put on `stream`.
  void enqueued(const c10::cuda::CUDAStream& stream) { event_.record(stream); }

  /// REQUIRES lock(). What NCCL or CUDA reported since the start; empty: nothing.
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(20ms);
      const auto held = lock();
      look();
    }
    if (pending_ > 0) progress_.leave(pending_);
  }

  void look() {
    if (!fault_.empty()) return;
    ncclResult_t state = ncclSuccess;
    ncclCommGetAsyncError(comm_, &state);
    if (state != ncclSuccess && state != ncclInProgress) {
      fault_ = ncclGetErrorString(state);
      return;
    }
    if (pending_ == 0 || !event_.isCreated()) return;
    try {
      if (!event_.query()) return;
      progress_.leave(pending_);
      pending_ = 0;
    } catch (const c10::Error& error) {
      fault_ = error.what_without_backtrace();
    }
  }

  ncclComm* comm_;
  CollectiveProgress& progress_;
  std::mutex mutex_;
  std::uint64_t pending_ = 0;   // a collective that the GPU is not known to be past; 0: none
  c10::cuda::CUDAEvent event_;  // behind the latest collective
  std::string fault_;
  std::jthread thread_;  // last: stops before what it looks at goes
};

namespace {

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

NcclCommunicator::NcclCommunicator(const torch::Device& device, MPI_Comm world,
                                   CollectiveProgress& progress, double timeout_seconds)
    : device_(device), progress_(progress), timeout_(timeout_seconds) {
  mpi_check(MPI_Comm_rank(world, &rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(world, &size_), "MPI_Comm_size");
  c10::cuda::set_device(device_.index());

  const CollectiveScope scope(progress_, "ncclCommInitRank");
  ncclUniqueId id{};
  if (rank_ == 0) await("ncclGetUniqueId", ncclGetUniqueId(&id));
  mpi_check(MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, world), "MPI_Bcast");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  await("ncclCommInitRankConfig", ncclCommInitRankConfig(&comm_, size_, id, rank_, &config));
  completion_ = std::make_unique<NcclCompletion>(comm_, device_.index(), progress_);
}

NcclCommunicator::~NcclCommunicator() = default;

void NcclCommunicator::close() {
  completion_.reset();
  const CollectiveScope scope(progress_, "ncclCommFinalize");
  await("ncclCommFinalize", ncclCommFinalize(comm_));
  const auto result = ncclCommDestroy(std::exchange(comm_, nullptr));
  if (result != ncclSuccess) fail("ncclCommDestroy", ncclGetErrorString(result));
}

const char* NcclCommunicator::fault_of(int result) const {
  auto state = static_cast<ncclResult_t>(result);
  const auto last = std::chrono::steady_clock::now() + timeout_;
  while (state == ncclInProgress) {
    if (std::chrono::steady_clock::now() > last) return "the peers did not come in time";
    std::this_thread::sleep_for(100us);
    if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) return "no asynchronous state";
  }
  return state == ncclSuccess ? nullptr : ncclGetErrorString(state);
}

void NcclCommunicator::fail(const char* call, const char* words) {
  completion_.reset();
  const CollectiveScope scope(
      progress_, "ncclCommAbort");  // the abort itself may hang: the watchdog is to see it
  if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
  throw CommError(std::string(call) + " failed on " + device_.str() + " with \"" + words +
                  "\": restart from the last checkpoint (NCCL_DEBUG=INFO tells more)");
}

void NcclCommunicator::await(const char* call, int result) {
  if (const char* fault = fault_of(result)) fail(call, fault);
}

void NcclCommunicator::launch(const char* call, std::int64_t bytes,
                              const std::function<int(void*)>& enqueue) {
  TORCH_CHECK(comm_ != nullptr, call, " on a communicator that was closed or aborted");
  const auto stream = c10::cuda::getCurrentCUDAStream(device_.index());
  std::string fault;
  {
    const auto held = completion_->lock();
    fault = completion_->fault();
    if (fault.empty()) {
      completion_->enter(call, bytes);
      // The first collective connects the ranks, which is waited for here.
      if (const char* words = fault_of(enqueue(stream.stream()))) fault = words;
    }
    if (fault.empty()) completion_->enqueued(stream);
  }
  if (!fault.empty()) fail(call, fault.c_str());
}

void NcclCommunicator::require_here(const torch::Tensor& tensor) const {
  TORCH_CHECK(tensor.device() == device_ && tensor.is_contiguous(),
              "NCCL needs a contiguous tensor on ", device_, ", got ", tensor.sizes(), " on ",
              tensor.device());
}

void NcclCommunicator::all_reduce_sum(torch::Tensor& tensor) {
  require_here(tensor);
  const auto type = nccl_type(tensor);
  launch("ncclAllReduce", static_cast<std::int64_t>(tensor.nbytes()), [&](void* stream) {
    void* const data = tensor.mutable_data_ptr();
    return ncclAllReduce(data, data, static_cast<std::size_t>(tensor.numel()), type, ncclSum, comm_,
                         static_cast<cudaStream_t>(stream));
  });
}

void NcclCommunicator::broadcast(torch::Tensor& tensor, int root) {
  require_here(tensor);
  launch("ncclBroadcast", static_cast<std::int64_t>(tensor.nbytes()), [&](void* stream) {
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
  launch("ncclAllGather", static_cast<std::int64_t>(tensor.nbytes()), [&](void* stream) {
    return ncclAllGather(tensor.const_data_ptr(), all.mutable_data_ptr(), tensor.nbytes(),
                         ncclUint8, comm_, static_cast<cudaStream_t>(stream));
  });
  return all;
}

void NcclCommunicator::barrier() {
  auto one = torch::ones({1}, torch::TensorOptions(device_).dtype(torch::kInt64));
  all_reduce_sum(one);
  const auto sum = one.item<std::int64_t>();  // host sync: this is what a barrier is for
  TORCH_CHECK(sum == size_, "a barrier over ", size_, " ranks counted ", sum);
}

}  // namespace gondola

#endif
