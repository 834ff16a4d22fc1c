#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <optional>
#include <thread>

namespace gondola {

/// What came of writing one checkpoint.
struct WriteOutcome {
  double seconds = 0.0;
  std::exception_ptr error{};  ///< Null where it is complete.
};

/// Writes on the calling thread. Throws nothing that `write` throws.
[[nodiscard]] WriteOutcome attempt_to_write(const std::function<void()>& write);

/// Writes checkpoints in a thread of its own, one at a time, while its owner goes on. For one
/// thread; the destructor waits for what is being written.
class CheckpointWriter {
 public:
  /// Begins `write`, which may use nothing that changes before the outcome is taken. The thread has
  /// a low priority: it takes the processor time that training leaves over. REQUIRES that the
  /// outcome of the write before was taken.
  void begin(std::function<void()> write);

  /// Takes the outcome where there is one; nothing where none was begun or it goes on.
  [[nodiscard]] std::optional<WriteOutcome> poll();
  /// Waits for the outcome and takes it; nothing where none was begun.
  [[nodiscard]] std::optional<WriteOutcome> wait();

 private:
  WriteOutcome outcome_;  ///< The thread's until done_.
  std::atomic<bool> done_ = false;
  std::jthread thread_;  ///< Last: joined before what it writes to goes.
};

}  // namespace gondola
