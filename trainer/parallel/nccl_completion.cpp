#if GONDOLA_WITH_CUDA

#include "trainer/parallel/nccl_completion.hpp"

#include <nccl.h>
#include <torch/types.h>

#include <utility>

namespace gondola {

using namespace std::chrono_literals;

NcclCompletion::NcclCompletion(ncclComm* comm, const DeviceStream& stream,
                               CollectiveProgress& progress)
    : comm_(comm), progress_(progress), thread_([this, &stream](const std::stop_token& stop) {
        stream.make_current();  // or asking a mark makes a context on the first GPU
        run(stop);
      }) {}

NcclCompletion::~NcclCompletion() {
  thread_.request_stop();
  thread_.join();
  for (const auto& entered : pending_) progress_.leave(entered.sequence);
}

void NcclCompletion::enter(const char* call, std::int64_t bytes) {
  pending_.push_back({.sequence = progress_.enter(call, bytes), .mark = nullptr});
}

void NcclCompletion::enqueued(std::unique_ptr<StreamMark> mark) {
  pending_.back().mark = std::move(mark);
}

void NcclCompletion::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(20ms);
    const auto held = lock();
    look();
  }
}

void NcclCompletion::look() {
  if (!fault_.empty()) return;
  ncclResult_t state = ncclSuccess;
  if (const auto asked = ncclCommGetAsyncError(comm_, &state); asked != ncclSuccess) state = asked;
  if (state != ncclSuccess && state != ncclInProgress) {
    fault_ = ncclGetErrorString(state);
    return;
  }
  leave_passed();
}

void NcclCompletion::leave_passed() {
  try {
    while (!pending_.empty() && pending_.front().mark && pending_.front().mark->passed()) {
      progress_.leave(pending_.front().sequence);
      pending_.pop_front();
    }
  } catch (const c10::Error& error) {
    if (fault_.empty()) fault_ = error.what_without_backtrace();
    pending_.front().mark = nullptr;  // nobody will get past it
  }
}

std::string NcclCompletion::wait(Seconds longest) {
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    {
      const auto held = lock();
      look();
      if (!fault_.empty() || pending_.empty()) return fault_;
    }
    if (std::chrono::steady_clock::now() - start > longest) return kPeersLate;
    std::this_thread::yield();
  }
}

void NcclCompletion::drain(Seconds longest) {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < longest) {
    {
      const auto held = lock();
      leave_passed();
      if (pending_.empty() || !pending_.front().mark) return;
    }
    std::this_thread::sleep_for(1ms);
  }
}

}  // namespace gondola

#endif
