#include "data/archives/libarchive_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>

#include "configs/errors.hpp"
#include "data/archives/member_names.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = 1 << 18;  // stays in the cache

[[noreturn]] void refuse_size(const std::string& where, std::int64_t most_bytes) {
  throw DataError(where + " has more than the " + std::to_string(most_bytes) +
                  " bytes that it may have");
}

}  // namespace

LibarchiveReader::LibarchiveReader(const std::string& path, Format format)
    : path_(path), archive_(::archive_read_new()) {
  if (!archive_) throw IoError("out of memory for reading " + path);
  ::archive_read_support_filter_all(archive_.get());
  if (format == Format::kArchive) {
    ::archive_read_support_format_tar(archive_.get());
    ::archive_read_support_format_zip(archive_.get());
  } else {
    ::archive_read_support_format_raw(archive_.get());
    ::archive_read_support_format_empty(archive_.get());
  }
  if (!fs::exists(path)) {
    throw MissingInputError("there is no file or folder " + path + "; check the path");
  }
  if (::archive_read_open_filename(archive_.get(), path.c_str(), kBlockBytes) != ARCHIVE_OK) {
    refuse("");
  }
}

archive_entry* LibarchiveReader::next() {
  archive_entry* entry = nullptr;
  const int result = ::archive_read_next_header(archive_.get(), &entry);
  if (result == ARCHIVE_EOF) return nullptr;
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) refuse("");
  return entry;
}

std::optional<std::string> LibarchiveReader::member_name(archive_entry* entry) const {
  if (::archive_entry_filetype(entry) != AE_IFREG || ::archive_entry_hardlink(entry) != nullptr) {
    return std::nullopt;
  }
  return shown_name(entry);
}

std::optional<std::string> LibarchiveReader::link_name(archive_entry* entry) const {
  const char* target = ::archive_entry_hardlink(entry);
  if (target == nullptr && ::archive_entry_filetype(entry) != AE_IFLNK) return std::nullopt;
  auto name = shown_name(entry);
  // tar packs a file that it is given twice as a link to itself.
  return target != nullptr && name == without_dot(target) ? std::nullopt : name;
}

/// Nothing where it is hidden.
std::optional<std::string> LibarchiveReader::shown_name(archive_entry* entry) const {
  const char* name = ::archive_entry_pathname(entry);
  if (name == nullptr) {
    throw DataError(path_ +
                    " holds a file whose name cannot be read; pack it again with names in UTF-8");
  }
  if (is_hidden(name)) return std::nullopt;
  return without_dot(name);
}

std::vector<std::uint8_t> LibarchiveReader::read(const std::string& member, std::int64_t most_bytes,
                                                 std::int64_t expected_bytes) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(
      static_cast<std::size_t>(std::clamp<std::int64_t>(expected_bytes, 0, std::int64_t{1} << 26)));
  const void* block = nullptr;
  std::size_t count = 0;
  la_int64_t offset = 0;
  while (true) {
    const int result = ::archive_read_data_block(archive_.get(), &block, &count, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK) refuse(member);
    if (offset < 0 || offset > most_bytes ||
        static_cast<std::int64_t>(count) > most_bytes - offset) {
      refuse_size(path_ + (member.empty() ? "" : ": " + member), most_bytes);
    }
    bytes.resize(static_cast<std::size_t>(offset) + count);  // holes of sparse members are zeros
    std::copy_n(static_cast<const std::uint8_t*>(block), count,
                bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return bytes;
}

bool LibarchiveReader::is_packed() const { return ::archive_filter_count(archive_.get()) > 1; }

bool LibarchiveReader::is_tar() const {
  return (::archive_format(archive_.get()) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

std::int64_t LibarchiveReader::header_position() const {
  return ::archive_read_header_position(archive_.get());
}
std::int64_t LibarchiveReader::data_position() const {
  return ::archive_filter_bytes(archive_.get(), 0);
}

void LibarchiveReader::refuse(const std::string& member) const {
  const char* text = ::archive_error_string(archive_.get());
  const int error = ::archive_errno(archive_.get());
  const std::string where = path_ + (member.empty() ? "" : ": " + member);
  const std::string why = text != nullptr ? text : "unknown error";
  if (error == EIO || error == EACCES || error == EMFILE || error == ENOMEM) {
    throw IoError("cannot read " + where + ": " + why);
  }
  throw DataError(where + " cannot be read as a tar, zip or packed file: " + why +
                  "; copy or download it again");
}

}  // namespace gondola
