#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/importers/gzip_file.hpp"

namespace gondola {

/// One IDX file of bytes, gzipped or not, read from front to back. The header is two zero bytes,
/// the type (8: unsigned bytes), the number of dimensions, and each size as 4 big-endian bytes.
class IdxFile {
 public:
  /// Reads the header and holds the size it claims against the file's length.
  /// @throws MissingInputError, IoError, DataError
  explicit IdxFile(const std::string& path);

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return shape_; }

  /// The next bytes. @throws DataError where the file ends before, or its gzip data is damaged
  void read(std::span<std::uint8_t> out) { file_.read(out); }

  /// @throws DataError where bytes follow those that the header announces
  void expect_end() { file_.expect_end(); }

 private:
  void read_header();
  void check_length() const;

  GzipFile file_;
  std::vector<std::int64_t> shape_;
};

}  // namespace gondola
