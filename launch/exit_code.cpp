#include "launch/exit_code.hpp"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>
#include <system_error>

namespace gondola {
namespace {

/// Without libtorch's list of stack frames.
std::string text_of(const std::exception& error) {
  const auto* const torch = dynamic_cast<const c10::Error*>(&error);
  return torch != nullptr ? torch->what_without_backtrace() : error.what();
}

/// Memory for values or, which has no error of its own, for the stack of a thread.
bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (const auto* const system = dynamic_cast<const std::system_error*>(&error)) {
    return system->code() == std::errc::resource_unavailable_try_again ||
           system->code() == std::errc::not_enough_memory;
  }
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  return dynamic_cast<const c10::Error*>(&error) != nullptr &&
         text_of(error).find("can't allocate memory") != std::string::npos;
}

}  // namespace

ExitCode exit_code_of(const std::exception& error) noexcept {
  if (const auto* const ours = dynamic_cast<const Error*>(&error)) return ours->code();
  const bool files = dynamic_cast<const std::filesystem::filesystem_error*>(&error) != nullptr;
  return files ? ExitCode::kIoFailed : ExitCode::kInternal;
}

std::string sentence_of(const std::exception& error) {
  const bool ours = dynamic_cast<const Error*>(&error) != nullptr;
  if (ours || !is_out_of_memory(error)) return error.what();
  return "out of memory or threads (" + text_of(error) +
         "): lower trainer.batch_size, or trainer.tile_bytes of a siren, start fewer ranks on each "
         "machine, or raise the limits of "
         "the job (ulimit -v, ulimit -u, the memory asked of Slurm)";
}

}  // namespace gondola
