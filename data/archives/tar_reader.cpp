#include "data/archives/tar_reader.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"

namespace gondola {

TarReader::TarReader(const std::string& path, std::vector<TarPlaces::Place> places,
                     std::vector<std::size_t> order, const struct ::stat& before)
    : path_(path),
      places_(std::move(places)),
      order_(std::move(order)),
      file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      listed_bytes_(before.st_size),
      watch_(path, require_open(), before) {}

std::optional<FileStamp> TarReader::read(std::size_t member,
                                         std::vector<std::uint8_t>& bytes) const {
  constexpr std::int64_t kLookMilliseconds = 100;
  const auto [offset, size] = places_[member];
  bytes.resize(static_cast<std::size_t>(size));
  read_fully(file_.get(), path_, offset, bytes);
  watch_.check(file_, offset + size, kLookMilliseconds);
  return std::nullopt;
}

void TarReader::require_unchanged() const { watch_.check(file_, listed_bytes_, 0); }

const FileDescriptor& TarReader::require_open() const {
  if (!file_) throw IoError("cannot open " + path_ + ": " + std::strerror(errno));
  return file_;
}

}  // namespace gondola
