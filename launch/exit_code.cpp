#include "launch/exit_code.hpp"

namespace gondola {

ExitCode exit_code_of(const std::exception& error) noexcept {
  const auto* const ours = dynamic_cast<const Error*>(&error);
  return ours != nullptr ? ours->code() : ExitCode::kInternal;
}

}  // namespace gondola
