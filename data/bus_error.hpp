#pragma once

#include <cfenv>
#include <csetjmp>

namespace gondola {

/// While it lives, a bus error in this thread jumps to jump() instead of ending the process. The
/// handler is installed once; bus errors outside of any guard go to the handler that was there
/// before.
class BusErrorGuard {
 public:
  BusErrorGuard() noexcept;
  ~BusErrorGuard();
  BusErrorGuard(const BusErrorGuard&) = delete;
  BusErrorGuard& operator=(const BusErrorGuard&) = delete;

  [[nodiscard]] sigjmp_buf& jump() { return jump_; }

 private:
  sigjmp_buf jump_;
  sigjmp_buf* outer_;
};

/// Runs `action`, which reads mapped files. False where a page could not be read: the file was cut,
/// or its disk or network failed. REQUIRES that nothing in `action` needs its destructor, takes a
/// lock or allocates: the jump skips the rest of it. The caller's rounding mode, which `action` and
/// the handler change, is given back.
template <typename Action>
[[nodiscard]] bool survives_bus_error(const Action& action) {
  BusErrorGuard guard;
  const int rounding = std::fegetround();
  if (sigsetjmp(guard.jump(), /*savemask=*/0) != 0) {
    std::fesetround(rounding);
    return false;
  }
  action();
  return true;
}

}  // namespace gondola
