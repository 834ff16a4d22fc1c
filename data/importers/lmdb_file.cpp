#include "data/importers/lmdb_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "configs/errors.hpp"
#include "data/image_source.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kHeaderBytes = 16;  // of a page: number, 2 unused, flags, two sizes
constexpr std::size_t kNodeBytes = 8;      // of a node's header: size or page, flags, size of key

// Flags of pages.
constexpr int kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04, kMeta = 0x08;
constexpr int kKind = 0x6F;
// Flags of nodes.
constexpr int kBigValue = 0x01, kDatabase = 0x02, kDuplicates = 0x04;

/// A little-endian number. REQUIRES that it lies in `bytes`.
template <typename T>
T number_at(std::span<const std::uint8_t> bytes, std::size_t place) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(value << 8 | bytes[place + i]);
  }
  return value;
}

}  // namespace

/// What page 0 or 1 says.
struct LmdbFile::Meta {
  std::int64_t page_bytes = 0;
  int flags = 0, depth = 0;
  std::uint64_t entries = 0, root = 0, transaction = 0;
};

LmdbFile::LmdbFile(const std::string& path) : path_(path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    path_ = std::filesystem::path(path) / "data.mdb";
  }
  file_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file_ && (errno == ENOENT || errno == ENOTDIR)) {
    throw MissingInputError("there is no file " + path_ +
                            "; give the folder of an LMDB, which holds data.mdb");
  }
  if (!file_ || ::fstat(file_.get(), &status) != 0) {
    throw IoError("cannot open " + path_ + ": " + std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw DataError(path_ + " is not a file; give the folder of an LMDB, which holds data.mdb");
  }
  length_bytes_ = status.st_size;

  Meta meta = read_meta(0);
  page_bytes_ = meta.page_bytes;
  constexpr std::int64_t kLeastPageBytes = 256, kMostPageBytes = 1 << 15;
  if (page_bytes_ < kLeastPageBytes || page_bytes_ > kMostPageBytes ||
      !std::has_single_bit(static_cast<std::uint64_t>(page_bytes_))) {
    refuse("announces pages of " + std::to_string(page_bytes_) + " bytes");
  }
  // Transactions are completed in the two pages by turns: the later one counts.
  const Meta other = read_meta(1);
  if (other.transaction > meta.transaction) meta = other;
  if (meta.page_bytes != page_bytes_) {
    refuse("announces pages of two sizes");
  }
  constexpr int kSortedDuplicates = 0x04;
  if ((meta.flags & kSortedDuplicates) != 0) {
    throw DataError(path_ +
                    " holds several values for a key, which LSUN's files do not; check "
                    "which file it is");
  }
  if (meta.root == ~std::uint64_t{0}) {
    throw DataError(path_ + " holds no images; give one that has some");
  }
  constexpr int kMostDepth = 32;
  if (meta.depth < 1 || meta.depth > kMostDepth) {
    refuse("announces a tree of " + std::to_string(meta.depth) + " levels");
  }
  walk(meta.root, meta.depth - 1);
  if (static_cast<std::uint64_t>(values()) != meta.entries) {
    refuse("announces " + std::to_string(meta.entries) + " entries but has " +
           std::to_string(values()));
  }
}

void LmdbFile::refuse(const std::string& problem) const {
  throw DataError(path_ + " is no LMDB or a damaged one: it " + problem +
                  "; copy or download it again");
}

void LmdbFile::read_at(std::int64_t offset_bytes, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(file_.get(), out.data(), out.size(), offset_bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw IoError("cannot read " + path_ + ": " + std::strerror(errno));
    }
    if (count == 0) {
      refuse("is truncated after " + std::to_string(length_bytes_) + " bytes");
    }
    out = out.subspan(static_cast<std::size_t>(count));
    offset_bytes += count;
  }
}

LmdbFile::Meta LmdbFile::read_meta(std::int64_t page) const {
  std::array<std::uint8_t, 152> bytes{};
  read_at(page * page_bytes_, bytes);
  constexpr std::uint32_t kMagic = 0xBEEFC0DE, kVersion = 1;
  if ((number_at<std::uint16_t>(bytes, 10) & kMeta) == 0 ||
      number_at<std::uint32_t>(bytes, 16) != kMagic) {
    refuse("does not begin as one");
  }
  if (number_at<std::uint32_t>(bytes, 20) != kVersion) {
    refuse("has the format version " + std::to_string(number_at<std::uint32_t>(bytes, 20)) +
           " where 1 is known");
  }
  // Two descriptions of 48 bytes: the free pages, whose padding holds the size of pages, and the
  // tree of the values.
  constexpr std::size_t kFree = 40, kTree = kFree + 48;
  return {.page_bytes = number_at<std::uint32_t>(bytes, kFree),
          .flags = number_at<std::uint16_t>(bytes, kTree + 4),
          .depth = number_at<std::uint16_t>(bytes, kTree + 6),
          .entries = number_at<std::uint64_t>(bytes, kTree + 32),
          .root = number_at<std::uint64_t>(bytes, kTree + 40),
          .transaction = number_at<std::uint64_t>(bytes, kTree + 56)};
}

void LmdbFile::walk(std::uint64_t page, int depth) {
  const std::string where = "page " + std::to_string(page);
  const auto pages = static_cast<std::uint64_t>(length_bytes_ / page_bytes_);
  if (page < 2 || page >= pages) {
    refuse("refers to " + where + " where it has " + std::to_string(pages));
  }
  if (++pages_seen_ > static_cast<std::int64_t>(pages)) {
    refuse("goes through some pages twice");
  }
  const std::int64_t offset = static_cast<std::int64_t>(page) * page_bytes_;
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(page_bytes_));
  read_at(offset, bytes);
  const int kind = number_at<std::uint16_t>(bytes, 10) & kKind;
  const std::size_t lower = number_at<std::uint16_t>(bytes, 12);
  if (number_at<std::uint64_t>(bytes, 0) != page || kind != (depth > 0 ? kBranch : kLeaf) ||
      lower < kHeaderBytes || lower > bytes.size()) {
    refuse("has nonsense in " + where);
  }
  for (std::size_t i = kHeaderBytes; i + 1 < lower; i += 2) {
    const std::size_t at = number_at<std::uint16_t>(bytes, i);
    if (at < lower || at + kNodeBytes > bytes.size()) {
      refuse("has nonsense in " + where);
    }
    const auto node = std::span(bytes).subspan(at);
    if (depth == 0) {
      add_value(offset + static_cast<std::int64_t>(at), node);
    } else {
      walk(static_cast<std::uint64_t>(number_at<std::uint16_t>(node, 4)) << 32 |
               number_at<std::uint32_t>(node, 0),
           depth - 1);
    }
  }
}

void LmdbFile::add_value(std::int64_t offset_bytes, std::span<const std::uint8_t> node) {
  const std::string where = "entry " + std::to_string(values());
  const std::uint32_t size = number_at<std::uint32_t>(node, 0);
  const int flags = number_at<std::uint16_t>(node, 4);
  const std::size_t begin = kNodeBytes + number_at<std::uint16_t>(node, 6);
  if ((flags & (kDatabase | kDuplicates)) != 0) {
    throw DataError(path_ +
                    " holds several databases, which LSUN's files do not; check which file "
                    "it is");
  }
  if (values() >= kMostImages) {
    refuse("has more than " + std::to_string(kMostImages) + " entries");
  }
  Value value{.offset_bytes = offset_bytes + static_cast<std::int64_t>(begin), .size_bytes = size};
  if ((flags & kBigValue) != 0) {
    if (begin + 8 > node.size()) {
      refuse("has nonsense in " + where);
    }
    const std::uint64_t page = number_at<std::uint64_t>(node, begin);
    if (page < 2 || page >= static_cast<std::uint64_t>(length_bytes_ / page_bytes_)) {
      refuse("refers to page " + std::to_string(page) + " in " + where);
    }
    value.offset_bytes = static_cast<std::int64_t>(page) * page_bytes_;
    value.in_pages_of_its_own = true;
    if (size > length_bytes_ - value.offset_bytes - kHeaderBytes) {
      refuse("is truncated: " + where + " has " + std::to_string(size) + " bytes");
    }
  } else if (begin + size > node.size()) {
    refuse("has nonsense in " + where);
  }
  values_.push_back(value);
}

std::int64_t LmdbFile::offset_bytes(std::int64_t index) const {
  return values_[static_cast<std::size_t>(index)].offset_bytes;
}

std::vector<std::uint8_t> LmdbFile::read_value(std::int64_t index) const {
  const Value& value = values_[static_cast<std::size_t>(index)];
  std::int64_t offset = value.offset_bytes;
  if (value.in_pages_of_its_own) {
    std::array<std::uint8_t, kHeaderBytes> header{};
    read_at(offset, header);
    const auto page = static_cast<std::uint64_t>(offset / page_bytes_);
    const std::int64_t room = number_at<std::uint32_t>(header, 12) * page_bytes_ - kHeaderBytes;
    if (number_at<std::uint64_t>(header, 0) != page ||
        (number_at<std::uint16_t>(header, 10) & kKind) != kOverflow || value.size_bytes > room) {
      refuse("has nonsense in page " + std::to_string(page) + ", entry " + std::to_string(index));
    }
    offset += kHeaderBytes;
  }
  if (value.size_bytes > kMostImageBytes) {
    refuse("has an entry of " + std::to_string(value.size_bytes) + " bytes, more than the " +
           std::to_string(kMostImageBytes) + " that an image may have");
  }
  std::vector<std::uint8_t> bytes(value.size_bytes);
  read_at(offset, bytes);
  return bytes;
}

}  // namespace gondola
