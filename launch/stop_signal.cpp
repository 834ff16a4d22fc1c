#include "launch/stop_signal.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

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

}  // namespace

void install_stop_signals() {
  install(SIGUSR1, SA_RESTART);
  install(SIGTERM, SA_RESTART);
  // The kernel puts back the default with the first INT, so that a second one ends the process.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) install(SIGINT, SA_RESTART | SA_RESETHAND);
}

bool stop_requested() noexcept { return stop_flag.load(std::memory_order_relaxed); }

}  // namespace gondola
