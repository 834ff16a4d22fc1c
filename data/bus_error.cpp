#include "data/bus_error.hpp"

#include <csignal>

namespace gondola {
namespace {

thread_local sigjmp_buf* innermost = nullptr;
struct sigaction handler_before;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  if (innermost != nullptr) {
    siglongjmp(*innermost, 1);
  }
  if ((handler_before.sa_flags & SA_SIGINFO) != 0 && handler_before.sa_sigaction != nullptr) {
    handler_before.sa_sigaction(signal, info, context);
  } else if (handler_before.sa_handler != SIG_DFL && handler_before.sa_handler != SIG_IGN) {
    handler_before.sa_handler(signal);
  } else {
    ::signal(SIGBUS, SIG_DFL);  // the access is tried again and ends the process
  }
}

bool install() {
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  // NODEFER: the jump out of the handler must not leave the signal blocked.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  return ::sigaction(SIGBUS, &action, &handler_before) == 0;
}

}  // namespace

BusErrorGuard::BusErrorGuard() noexcept : outer_(innermost) {
  [[maybe_unused]] static const bool installed = install();
  innermost = &jump_;
}

BusErrorGuard::~BusErrorGuard() { innermost = outer_; }

}  // namespace gondola
