#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "data/file_descriptor.hpp"

namespace gondola {

/// Notices that an open file is no longer what it was when it was opened. Thread-safe.
class FileWatch {
 public:
  /// @param before the file's stat from before its contents were checked.
  /// @throws DataError where it is another file by now, IoError
  FileWatch(std::string path, const FileDescriptor& file, const struct ::stat& before);

  /// Looks at the file again, at most once every `milliseconds`; what was read up to `end_byte`
  /// counts as read before. @throws DataError where the file was cut before `end_byte`, or written
  void check(const FileDescriptor& file, std::int64_t end_byte, std::int64_t milliseconds) const;

 private:
  std::string path_;
  std::int64_t bytes_;
  ::timespec written_;
  mutable std::atomic<std::int64_t> looked_ = 0;  ///< Milliseconds of the monotonic clock.
  mutable std::atomic<std::int64_t> bytes_now_;
};

/// What a change of a file changes: its size, and the time of its last change.
struct FileStamp {
  std::int64_t bytes = 0, seconds = 0, nanoseconds = 0;
  bool operator==(const FileStamp&) const = default;
};

[[nodiscard]] FileStamp stamp_of(const struct ::stat& status);

/// The sentence for a file that ends before its images do.
[[nodiscard]] std::string cut_file_text(const std::string& path, std::int64_t end_byte);

/// stat() of a path. @throws MissingInputError, IoError
[[nodiscard]] struct ::stat stat_of(const std::string& path);

}  // namespace gondola
