#pragma once

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gondola {

/// One IDX file of bytes, gzipped or not, read from front to back. The header is two zero bytes,
/// the type (8: unsigned bytes), the number of dimensions, and each size as 4 big-endian bytes.
class IdxFile {
 public:
  /// Reads the header and holds the size it claims against the file's length.
  /// @throws MissingInputError, IoError, DataError
  explicit IdxFile(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return shape_; }

  /// The next bytes. @throws DataError where the file ends before, or its gzip data is damaged
  void read(std::span<std::uint8_t> out);

  /// @throws DataError where bytes follow those that the header announces
  void expect_end();

 private:
  struct Close {
    void operator()(gzFile_s* file) const { ::gzclose(file); }
  };

  void read_header();
  [[nodiscard]] int read_some(std::span<std::uint8_t> out);
  void check_length() const;
  [[noreturn]] void refuse(const std::string& problem) const;

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::vector<std::int64_t> shape_;
};

}  // namespace gondola
