#include "data/importers/gzip_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "configs/errors.hpp"

namespace gondola {

GzipFile::GzipFile(const std::string& path) : path_(path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    throw MissingInputError("there is no file " + path + "; check the path");
  }
  if (!std::filesystem::is_regular_file(path, error)) {
    throw DataError(path + " is not a file; check the path");
  }
  length_bytes_ = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
  file_.reset(::gzopen(path.c_str(), "rb"));
  if (!file_ || error) {
    throw IoError("cannot open " + path + ": " + (error ? error.message() : std::strerror(errno)));
  }
  ::gzbuffer(file_.get(), 1 << 18);
}

void GzipFile::refuse(const std::string& problem) const { throw DataError(path_ + " " + problem); }

std::int64_t GzipFile::most_bytes() const {
  constexpr std::int64_t kMostPacking = 1100;  // deflate packs by at most 1032
  if (::gzdirect(file_.get()) != 0) {
    return length_bytes_;
  }
  return std::min(length_bytes_, std::numeric_limits<std::int64_t>::max() / kMostPacking) *
         kMostPacking;
}

int GzipFile::read_some(std::span<std::uint8_t> out) {
  constexpr std::size_t kMostBytes = 1 << 30;  // gzread counts in int
  const int count =
      ::gzread(file_.get(), out.data(), static_cast<unsigned>(std::min(out.size(), kMostBytes)));
  int code = Z_OK;
  const char* message = ::gzerror(file_.get(), &code);
  if (count < 0 && code == Z_ERRNO) {
    throw IoError("cannot read " + path_ + ": " + std::strerror(errno));
  }
  if (count < 0 || (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)) {
    refuse(std::string("cannot be unpacked: ") + message + "; download it again");
  }
  if (count == 0 && code == Z_BUF_ERROR) {
    refuse("is truncated: its gzip data stops in the middle; download it again");
  }
  return count;
}

void GzipFile::read(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const int count = read_some(out);
    if (count == 0) {
      refuse("is truncated: " + std::to_string(out.size()) +
             " more bytes were expected where it ends; download it again");
    }
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

void GzipFile::expect_end() {
  std::array<std::uint8_t, 1> more{};
  if (read_some(more) != 0) {
    refuse("goes on after the bytes that its header announces; download it again");
  }
}

}  // namespace gondola
