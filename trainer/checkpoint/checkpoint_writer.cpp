#include "trainer/checkpoint/checkpoint_writer.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cassert>
#include <chrono>
#include <utility>

namespace gondola {
namespace {

/// Of the calling thread alone, as Linux has it. Where that is refused the thread is as fast as
/// others.
void lower_priority() noexcept {
  constexpr int kNice = 10;
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

}  // namespace

WriteOutcome attempt_to_write(const std::function<void()>& write) {
  WriteOutcome outcome;
  const auto start = std::chrono::steady_clock::now();
  try {
    write();
  } catch (...) {
    outcome.error = std::current_exception();
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  outcome.seconds = taken.count();
  return outcome;
}

void CheckpointWriter::begin(std::function<void()> write) {
  assert(!thread_.joinable());
  done_.store(false, std::memory_order_relaxed);
  thread_ = std::jthread([this, work = std::move(write)] {
    lower_priority();
    outcome_ = attempt_to_write(work);
    done_.store(true, std::memory_order_release);
  });
}

std::optional<WriteOutcome> CheckpointWriter::poll() {
  if (!done_.load(std::memory_order_acquire)) return std::nullopt;
  return wait();
}

std::optional<WriteOutcome> CheckpointWriter::wait() {
  if (!thread_.joinable()) return std::nullopt;
  thread_.join();
  return std::exchange(outcome_, {});
}

}  // namespace gondola
