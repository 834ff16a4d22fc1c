#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace gondola {

/// What one rank has to say: appends to <run_folder>/logs/rank-<rank>.log, a line with time and
/// level each, flushed line by line. Rank 0's warnings go to stderr too. Thread-safe.
///
/// spdlog stays out of this header: libtorch brings an fmt of its own, which spdlog's headers do
/// not compile with.
class RankLog {
 public:
  /// @throws IoError
  RankLog(const std::filesystem::path& run_folder, int rank);

  void info(const std::string& sentence) const;
  void warn(const std::string& sentence) const;

 private:
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace gondola
