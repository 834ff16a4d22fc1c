#pragma once

#include <future>
#include <string>
#include <thread>

#include "data/file_watch.hpp"

namespace gondola {

/// The SHA-256 of a file, on a thread of its own that begins at once and stops early where nothing
/// needs it any more.
class FileSum {
 public:
  /// @throws MissingInputError, IoError
  explicit FileSum(const std::string& path);

  /// Of the file, from before it was read.
  [[nodiscard]] const FileStamp& stamp() const { return stamp_; }

  /// Waits for it. Thread-safe. @throws MissingInputError, IoError
  [[nodiscard]] const std::string& wait() const { return sum_.get(); }

 private:
  FileStamp stamp_;
  std::promise<std::string> promise_;
  std::shared_future<std::string> sum_ = promise_.get_future().share();
  std::jthread thread_;  ///< The last member: it ends first.
};

}  // namespace gondola
