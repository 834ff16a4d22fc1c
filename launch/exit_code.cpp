#include "launch/exit_code.hpp"

#include <filesystem>

namespace gondola {

ExitCode exit_code_of(const std::exception& error) noexcept {
  if (const auto* const ours = dynamic_cast<const Error*>(&error)) return ours->code();
  const bool files = dynamic_cast<const std::filesystem::filesystem_error*>(&error) != nullptr;
  return files ? ExitCode::kIoFailed : ExitCode::kInternal;
}

}  // namespace gondola
