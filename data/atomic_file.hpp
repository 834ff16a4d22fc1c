#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace gondola {

/// A file that appears under its name complete or not at all. Write to temporary(), a name beside
/// the final one, then commit(); without commit() the temporary is removed. Where the process is
/// killed a
/// `<name>.partial-<pid>` may stay behind, never a half file under the final name.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  [[nodiscard]] const std::filesystem::path& temporary() const { return temporary_; }

  /// Flushes the temporary to disk, renames it to the final name and flushes the folder.
  /// @throws IoError
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  bool committed_ = false;
};

/// Writes all of `bytes` at `offset` of an open file. @throws IoError naming `path`
void write_fully(int file, const std::string& path, std::int64_t offset,
                 std::span<const std::uint8_t> bytes);

/// Replaces `path` by these bytes, completely or not at all. @throws IoError
void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);

}  // namespace gondola
