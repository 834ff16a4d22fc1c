#include "launch/stop_signal.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "configs/errors.hpp"

namespace gondola {
namespace {

std::atomic<bool> stop_flag{false};  // a signal handler has no other place to write to
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void note_stop(int) { stop_flag.store(true, std::memory_order_relaxed); }

void install(int signal, int flags) {
  struct sigaction action {};
  action.sa_handler = note_stop;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  if (sigaction(signal, &action, nullptr) != 0) {
    throw IoError(std::string("the handler of signal ") + strsignal(signal) +
                  " cannot be set: " + std::strerror(errno));
  }
}

/// Has another thread run the handlers. oneDNN's matrix kernels let the stack pointer point into
/// their workspace on the heap (up to its release 3.11): a handler that ran on a thread inside one
/// would write over what lies below. Threads that this one starts from now on are safe, too.
void leave_to_a_thread_of_its_own(const sigset_t& signals) {
  std::thread([] {
    while (true) ::pause();
  }).detach();
  const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (error != 0) {
    throw IoError(std::string("signals cannot be left to another thread: ") + std::strerror(error));
  }
}

}  // namespace

void install_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  const auto add = [&](int signal, int flags) {
    install(signal, flags);
    sigaddset(&signals, signal);
  };
  add(SIGUSR1, SA_RESTART);
  add(SIGTERM, SA_RESTART);
  // The kernel puts back the default with the first INT, so that a second one ends the process.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) add(SIGINT, SA_RESTART | SA_RESETHAND);
  leave_to_a_thread_of_its_own(signals);
}

bool stop_requested() noexcept { return stop_flag.load(std::memory_order_relaxed); }

}  // namespace gondola
