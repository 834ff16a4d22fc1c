#pragma once

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace gondola {

/// A file, gzipped or not, read from front to back.
class GzipFile {
 public:
  /// @throws MissingInputError, IoError
  explicit GzipFile(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }

  /// More bytes than this the file cannot hold, unpacked.
  [[nodiscard]] std::int64_t most_bytes() const;

  /// The next bytes. @throws DataError where the file ends before, or its gzip data is damaged
  void read(std::span<std::uint8_t> out);

  /// @throws DataError where bytes follow, or the gzip data is damaged at its end
  void expect_end();

  /// @throws DataError: the path and the problem
  [[noreturn]] void refuse(const std::string& problem) const;

 private:
  struct Close {
    void operator()(gzFile_s* file) const { ::gzclose(file); }
  };

  [[nodiscard]] int read_some(std::span<std::uint8_t> out);

  std::string path_;
  std::int64_t length_bytes_ = 0;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace gondola
