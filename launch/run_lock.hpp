#pragma once

#include <filesystem>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Keeps a run folder to one job: a lock on its file LOCK, which says who holds it. The system
/// frees it when the process ends, however it ends, so that one of a killed job is in nobody's way.
/// A file system that has no locks is left unguarded.
class RunLock {
 public:
  /// @throws WorldError where another process holds it; IoError
  explicit RunLock(const std::filesystem::path& run_folder);

 private:
  FileDescriptor file_;
};

}  // namespace gondola
