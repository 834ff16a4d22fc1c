// The functions of NCCL that the trainer calls, for tensors in host memory: collectives among the
// processes of one machine, on queues that stand for streams, with the faults of control.hpp.

#include <nccl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/parallel/fake_nccl/communicator.hpp"

namespace gondola::fake_nccl {
namespace {

/// What this process has.
struct World {
  std::mutex mutex;
  Plan plan;
  double link_bytes_per_second = 0;
  Counts counts;
  std::map<ncclComm_t, std::shared_ptr<ncclComm>> communicators;
  std::map<std::string, int> listeners;
  int ids = 0;
};

World& world() {
  static World the_world;
  return the_world;
}

std::vector<std::shared_ptr<ncclComm>> all() {
  const std::lock_guard held(world().mutex);
  std::vector<std::shared_ptr<ncclComm>> found;
  for (const auto& [handle, communicator] : world().communicators) found.push_back(communicator);
  return found;
}

/// The communicator of a handle; nullptr, and counted, where there is none.
std::shared_ptr<ncclComm> find(ncclComm_t handle) {
  {
    const std::lock_guard held(world().mutex);
    const auto place = world().communicators.find(handle);
    if (place != world().communicators.end()) return place->second;
  }
  count(&Counts::dead_handles);
  return nullptr;
}

void forget(ncclComm_t handle) {
  const std::lock_guard held(world().mutex);
  world().communicators.erase(handle);
}

/// One call to a communicator. Two at the same time are counted: it serves one thread at a time.
class Call {
 public:
  explicit Call(ncclComm_t handle) : communicator_(find(handle)) {
    if (!here()) return;
    if (communicator_->calls_inside.fetch_add(1) > 0) count(&Counts::at_the_same_time);
  }
  ~Call() {
    if (here()) communicator_->calls_inside.fetch_sub(1);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  [[nodiscard]] bool here() const { return communicator_ != nullptr; }
  ncclComm* operator->() const { return communicator_.get(); }

 private:
  std::shared_ptr<ncclComm> communicator_;
};

HostQueue& queue_of(cudaStream_t stream) { return *reinterpret_cast<HostQueue*>(stream); }

std::size_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return 1;
    case ncclFloat32:
      return 4;
    case ncclFloat64:
    case ncclInt64:
      return 8;
    default:
      return 0;
  }
}

template <typename Value>
void add(const char* from, void* to, std::size_t values) {
  for (std::size_t i = 0; i < values; ++i) {
    Value value;
    std::memcpy(&value, from + i * sizeof value, sizeof value);
    static_cast<Value*>(to)[i] += value;
  }
}

void add_as(ncclDataType_t type, const char* from, void* to, std::size_t values) {
  if (type == ncclFloat32) return add<float>(from, to, values);
  if (type == ncclFloat64) return add<double>(from, to, values);
  add<std::int64_t>(from, to, values);
}

}  // namespace

void count(std::int64_t Counts::*which, std::int64_t by) {
  const std::lock_guard held(world().mutex);
  world().counts.*which += by;
}

void set_plan(const Plan& plan) {
  const std::lock_guard held(world().mutex);
  world().plan = plan;
}

void set_link(double bytes_per_second) {
  const std::lock_guard held(world().mutex);
  world().link_bytes_per_second = bytes_per_second;
}

std::chrono::duration<double> link_time(std::size_t bytes) {
  const std::lock_guard held(world().mutex);
  const auto rate = world().link_bytes_per_second;
  return std::chrono::duration<double>(rate > 0 ? static_cast<double>(bytes) / rate : 0);
}

void release() {
  for (const auto& communicator : all()) communicator->release();
}

void release_abort() {
  for (const auto& communicator : all()) communicator->release_abort();
}

void raise(ncclResult_t error) {
  for (const auto& communicator : all()) communicator->raise(error);
}

Counts counts() {
  const std::lock_guard held(world().mutex);
  return world().counts;
}

void reset() {
  for (const auto& communicator : all()) {
    communicator->release_abort();
    communicator->abort();
    forget(communicator.get());
  }
  const std::lock_guard held(world().mutex);
  world().plan = {};
  world().link_bytes_per_second = 0;
  world().counts = {};
}

}  // namespace gondola::fake_nccl

using namespace gondola::fake_nccl;

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard held(world().mutex);
  const auto name =
      "gondola-fake-nccl-" + std::to_string(getpid()) + "-" + std::to_string(world().ids++);
  world().listeners[name] = Mesh::listen_at(name);
  *id = {};
  name.copy(id->internal, sizeof id->internal - 1);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* handle, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  count(&Counts::inits);
  *handle = nullptr;
  if (config == nullptr || config->blocking != 0) return ncclInvalidUsage;
  const std::string name = id.internal;
  std::shared_ptr<ncclComm> made;
  int listener = -1;
  {
    const std::lock_guard held(world().mutex);
    if (world().plan.init == Init::kRefused) return world().plan.error;
    made = std::make_shared<ncclComm>(world().plan, rank, ranks);
    world().communicators[made.get()] = made;
    if (rank == 0) listener = world().listeners.at(name);
  }
  made->start(name, listener);
  *handle = made.get();
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* state) {
  count(&Counts::state_polls);
  const Call call(handle);
  if (!call.here()) return ncclInvalidArgument;
  *state = call->poll();
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t handle) {
  count(&Counts::finalizes);
  const Call call(handle);
  return call.here() ? call->finalize() : ncclInvalidArgument;
}

ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  count(&Counts::destroys);
  const Call call(handle);
  if (!call.here()) return ncclInvalidArgument;
  call->abort();
  forget(handle);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t handle) {
  count(&Counts::aborts);
  const Call call(handle);
  if (!call.here()) return ncclInvalidArgument;
  call->wait_in_abort();
  count(&Counts::unfinished_at_abort, call->abort());
  forget(handle);
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "operation in progress";
    default:
      return "another error";
  }
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t values, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t handle, cudaStream_t stream) {
  const Call call(handle);
  if (!call.here() || operation != ncclSum || bytes_of(type) < 4) {
    return ncclInvalidArgument;
  }
  const auto bytes = values * bytes_of(type);
  return call->launch(queue_of(stream), bytes, [=](Mesh& mesh) {
    if (to != from) std::memcpy(to, from, bytes);
    mesh.gather_and_send(
        to, bytes, [=](int, const char* theirs) { add_as(type, theirs, to, values); }, to, bytes);
  });
}

ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t values, ncclDataType_t type,
                           int root, ncclComm_t handle, cudaStream_t stream) {
  const Call call(handle);
  if (!call.here() || root < 0 || root >= call->size || bytes_of(type) == 0) {
    return ncclInvalidArgument;
  }
  const auto bytes = values * bytes_of(type);
  return call->launch(queue_of(stream), bytes, [=](Mesh& mesh) {
    if (to != from) std::memcpy(to, from, bytes);
    mesh.gather_and_send(
        to, bytes,
        [=](int rank, const char* theirs) {
          if (rank == root) std::memcpy(to, theirs, bytes);
        },
        to, bytes);
  });
}

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t values, ncclDataType_t type,
                           ncclComm_t handle, cudaStream_t stream) {
  const Call call(handle);
  if (!call.here() || bytes_of(type) == 0) return ncclInvalidArgument;
  const auto bytes = values * bytes_of(type);
  const auto ranks = static_cast<std::size_t>(call->size);
  return call->launch(queue_of(stream), bytes, [=](Mesh& mesh) {
    auto* const rows = static_cast<char*>(to);
    std::memcpy(rows, from, bytes);  // rank 0's row; the others have theirs from it
    mesh.gather_and_send(
        from, bytes,
        [=](int rank, const char* theirs) {
          std::memcpy(rows + static_cast<std::size_t>(rank) * bytes, theirs, bytes);
        },
        to, ranks * bytes);
  });
}

}  // extern "C"
