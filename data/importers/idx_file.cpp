#include "data/importers/idx_file.hpp"

#include <array>
#include <limits>

namespace gondola {

IdxFile::IdxFile(const std::string& path) : file_(path) {
  read_header();
  check_length();
}

void IdxFile::read_header() {
  std::array<std::uint8_t, 4> magic{};
  read(magic);
  constexpr std::uint8_t kBytes = 0x08;
  if (magic[0] != 0 || magic[1] != 0) {
    file_.refuse("is no IDX file (its first bytes are " + std::to_string(magic[0]) + " and " +
                 std::to_string(magic[1]) + ", not zeros); check which file it is");
  }
  if (magic[2] != kBytes) {
    file_.refuse("is an IDX file of the type " + std::to_string(magic[2]) +
                 " where 8, unsigned bytes, is needed; convert it");
  }
  if (magic[3] != 1 && magic[3] != 3 && magic[3] != 4) {
    file_.refuse("has " + std::to_string(magic[3]) +
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
  std::int64_t values = 1;
  for (const std::int64_t size : shape_) {
    if (size < 1) {
      file_.refuse("is empty: one of its sizes is 0; give a file that has images");
    }
    if (values > std::numeric_limits<std::int64_t>::max() / size ||
        values * size > file_.most_bytes()) {
      file_.refuse("is truncated: its header announces more than the " +
                   std::to_string(file_.most_bytes()) +
                   " bytes that it can hold at most; download it again");
    }
    values *= size;
  }
}

}  // namespace gondola
