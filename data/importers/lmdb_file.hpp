#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/file_descriptor.hpp"

namespace gondola {

/// The values of an LMDB data file (format version 1, little-endian, 64 bits), in the order of
/// their keys.
///
/// liblmdb maps the file and follows every number in it, so it ends the program where the file is
/// damaged or becomes shorter. This reads by pread and holds each number against the file: a tree
/// of pages, of which page 0 and 1 name the root. It takes no lock, as MDB_RDONLY|MDB_NOLOCK: the
/// file must not be written to meanwhile.
class LmdbFile {
 public:
  /// Reads all inner pages and leaves. @param path the folder of data.mdb, or that file
  /// @throws MissingInputError, DataError (no such file, damaged, several databases in it), IoError
  explicit LmdbFile(const std::string& path);

  /// Of data.mdb.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::int64_t values() const { return static_cast<std::int64_t>(values_.size()); }

  /// Where a value lies: to read them in the order of the file. REQUIRES 0 <= index < values().
  [[nodiscard]] std::int64_t offset_bytes(std::int64_t index) const;

  /// REQUIRES 0 <= index < values(). @throws DataError, IoError
  [[nodiscard]] std::vector<std::uint8_t> read_value(std::int64_t index) const;

 private:
  struct Value {
    std::int64_t offset_bytes = 0;  ///< Of the value, or of the page that it follows in.
    std::uint32_t size_bytes = 0;
    bool in_pages_of_its_own = false;
  };
  struct Meta;

  [[nodiscard]] Meta read_meta(std::int64_t page) const;
  /// Adds the values below a page; `depth` pages lie between it and the values.
  void walk(std::uint64_t page, int depth);
  void add_value(std::int64_t page_offset, std::span<const std::uint8_t> node);
  void read_at(std::int64_t offset_bytes, std::span<std::uint8_t> out) const;
  [[noreturn]] void refuse(const std::string& problem) const;

  std::string path_;
  FileDescriptor file_;
  std::int64_t length_bytes_ = 0, page_bytes_ = 0, pages_seen_ = 0;
  std::vector<Value> values_;
};

}  // namespace gondola
