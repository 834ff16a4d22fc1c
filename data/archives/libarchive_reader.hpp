#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/archives/utf8_characters.hpp"

namespace gondola {

/// A file open in libarchive. Made and destroyed on one thread, the last made first.
class LibarchiveReader {
 public:
  enum class Format {
    kArchive,  ///< A tar or zip.
    kRaw,      ///< One entry: all that the file holds, unpacked.
  };

  /// @throws MissingInputError, DataError, IoError
  LibarchiveReader(const std::string& path, Format format);

  /// The next entry, which lives until the next call; null after the last.
  /// @throws DataError (damaged), IoError
  archive_entry* next();

  /// The name of the entry that next() returned, or nothing where it is no regular file of
  /// interest. @throws DataError where it has none that can be read
  [[nodiscard]] std::optional<std::string> member_name(archive_entry* entry) const;

  /// Likewise of the entry that next() returned where it is a link, hard or symbolic, to something
  /// else.
  [[nodiscard]] std::optional<std::string> link_name(archive_entry* entry) const;

  /// The bytes of the entry that next() returned.
  /// @param member its name for messages; empty where the file stands for itself
  /// @param expected_bytes how many it says that it has; they may be others
  /// @throws DataError beyond `most_bytes`, or where they are damaged; IoError
  std::vector<std::uint8_t> read(const std::string& member, std::int64_t most_bytes,
                                 std::int64_t expected_bytes);

  /// Whether the whole file is packed, so that passing over a member means unpacking it.
  [[nodiscard]] bool is_packed() const;
  [[nodiscard]] bool is_tar() const;

  /// Of a file that is not packed: where what the entry that next() returned has before its bytes
  /// begins, and where that ends.
  [[nodiscard]] std::int64_t header_position() const;
  [[nodiscard]] std::int64_t data_position() const;

 private:
  struct Close {
    void operator()(archive* handle) const { ::archive_read_free(handle); }
  };

  [[nodiscard]] std::optional<std::string> shown_name(archive_entry* entry) const;
  [[noreturn]] void refuse(const std::string& member) const;

  std::string path_;
  Utf8Characters utf8_characters_;
  std::unique_ptr<archive, Close> archive_;
};

}  // namespace gondola
