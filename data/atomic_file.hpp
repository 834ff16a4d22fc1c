#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "data/file_descriptor.hpp"

namespace gondola {

/// A file that appears under its name complete or not at all. Write to temporary(), a name beside
/// the final one, then commit(); without commit() the temporary is removed. Where the process is
/// killed a `<name>.partial-<pid>` may stay behind, never a half file under the final name.
class AtomicFile {
 public:
  /// What commit() does where there is a file of the final name.
  enum class Existing { kReplace, kRefuse };

  /// Makes the temporary, empty. @throws IoError, also where another process writes it
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  [[nodiscard]] const std::filesystem::path& temporary() const { return temporary_; }

  /// Flushes the temporary to disk, renames it to the final name and flushes the folder.
  /// @throws IoError; ConfigError where there is such a file and it shall not be replaced
  void commit(Existing existing = Existing::kReplace);

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  FileDescriptor lock_;  ///< Of the temporary: held as long as this process lives.
  bool committed_ = false;
};

/// Flushes a file or folder to disk. @throws IoError
void flush_to_disk(const std::filesystem::path& path);

/// Whether errno says that the disk, or a user's share of it, is full.
[[nodiscard]] bool is_full(int error) noexcept;

/// Removes what killed processes left of AtomicFiles of this path.
void remove_abandoned(const std::filesystem::path& path);

/// Writes all of `bytes` at `offset` of an open file. @throws IoError naming `path`
void write_fully(int file, const std::string& path, std::int64_t offset,
                 std::span<const std::uint8_t> bytes);

/// Reads `out.size()` bytes at `offset` of an open file.
/// @throws DataError (the file ends before), IoError; both name `path`
void read_fully(int file, const std::string& path, std::int64_t offset,
                std::span<std::uint8_t> out);

/// Replaces `path` by these bytes, completely or not at all. @throws IoError
void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);

/// The same of bytes that lie in pieces. @throws IoError
void write_file_atomically(const std::filesystem::path& path,
                           std::span<const std::span<const std::uint8_t>> pieces);

}  // namespace gondola
