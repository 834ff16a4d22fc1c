#include "data/importers/idx_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "configs/errors.hpp"

namespace gondola {

IdxFile::IdxFile(const std::string& path) : path_(path) {
  if (!std::filesystem::exists(path)) {
    throw MissingInputError("there is no file " + path + "; check the path");
  }
  file_.reset(::gzopen(path.c_str(), "rb"));
  if (!file_) {
    throw IoError("cannot open " + path + ": " + std::strerror(errno));
  }
  ::gzbuffer(file_.get(), 1 << 18);
  read_header();
  check_length();
}

void IdxFile::refuse(const std::string& problem) const { throw DataError(path_ + " " + problem); }

void IdxFile::read_header() {
  std::array<std::uint8_t, 4> magic{};
  read(magic);
  constexpr std::uint8_t kBytes = 0x08;
  if (magic[0] != 0 || magic[1] != 0) {
    refuse("is no IDX file (its first bytes are " + std::to_string(magic[0]) + " and " +
           std::to_string(magic[1]) + ", not zeros); check which file it is");
  }
  if (magic[2] != kBytes) {
    refuse("is an IDX file of the type " + std::to_string(magic[2]) +
           " where 8, unsigned bytes, is needed; convert it");
  }
  if (magic[3] != 1 && magic[3] != 3 && magic[3] != 4) {
    refuse("has " + std::to_string(magic[3]) +
           " dimensions; labels have 1, grey images 3, images with channels 4");
  }
  for (int i = 0; i < magic[3]; ++i) {
    std::array<std::uint8_t, 4> size{};
    read(size);
    shape_.push_back(static_cast<std::int64_t>(size[0]) << 24 | size[1] << 16 | size[2] << 8 |
                     size[3]);
  }
}

void IdxFile::check_length() const {
  constexpr std::int64_t kMostPacking = 1100;  // deflate packs by at most 1032
  const auto length = static_cast<std::int64_t>(std::filesystem::file_size(path_));
  const bool packed = ::gzdirect(file_.get()) == 0;
  const std::int64_t most = packed ? length * kMostPacking : length;
  std::int64_t values = 1;
  for (const std::int64_t size : shape_) {
    if (size < 1) {
      refuse("is empty: one of its sizes is 0; give a file that has images");
    }
    if (values > std::numeric_limits<std::int64_t>::max() / size || values * size > most) {
      refuse("is truncated: its header announces more than a file of " + std::to_string(length) +
             " bytes can hold; download it again");
    }
    values *= size;
  }
}

int IdxFile::read_some(std::span<std::uint8_t> out) {
  constexpr std::size_t kMostBytes = 1 << 30;  // gzread counts in int
  const int count =
      ::gzread(file_.get(), out.data(), static_cast<unsigned>(std::min(out.size(), kMostBytes)));
  int code = Z_OK;
  const char* message = ::gzerror(file_.get(), &code);
  if (count < 0 || (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)) {
    refuse(std::string("cannot be unpacked: ") + message + "; download it again");
  }
  if (count == 0 && code == Z_BUF_ERROR) {
    refuse("is truncated: its gzip data stops in the middle; download it again");
  }
  return count;
}

void IdxFile::read(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const int count = read_some(out);
    if (count == 0) {
      refuse("is truncated: " + std::to_string(out.size()) +
             " more bytes were expected where it ends; download it again");
    }
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

void IdxFile::expect_end() {
  std::array<std::uint8_t, 1> more{};
  if (read_some(more) != 0) {
    refuse("goes on after the bytes that its header announces; download it again");
  }
}

}  // namespace gondola
