#include "data/archives/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <optional>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/file_descriptor.hpp"
#include "data/file_watch.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostMemberBytes = std::int64_t{1} << 31;
constexpr std::int64_t kMostKeptBytes = std::int64_t{1} << 30;
constexpr std::size_t kBlockBytes = 1 << 18;  // stays in the cache

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Length of the run of digits at the start of a text.
std::size_t digits_of(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) -
                                  text.begin());
}

/// Hidden files and the copies of resource forks that macOS packs beside the files.
bool is_hidden(std::string_view name) {
  if (name.starts_with("__MACOSX/")) return true;
  while (!name.empty()) {
    const auto slash = name.find('/');
    const auto part = name.substr(0, slash);
    if (part.starts_with(".") && part != "." && part != "..") return true;
    if (slash == std::string_view::npos) return false;
    name.remove_prefix(slash + 1);
  }
  return false;
}

std::string without_dot(std::string name) {
  while (name.starts_with("./")) name.erase(0, 2);
  return name;
}

/// Reads `name`, as openat() takes it; errors call it `describe()`.
template <typename Describe>
FileStamp read_whole_file(int folder, const std::string& name, const Describe& describe,
                          std::vector<std::uint8_t>& bytes) {
  const FileDescriptor file(::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC));
  struct ::stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    const int error = errno;
    if (error == ENOENT) {
      throw MissingInputError("there is no file " + describe() + "; check the path");
    }
    throw IoError("cannot open " + describe() + ": " + std::strerror(error));
  }
  if (status.st_size > kMostMemberBytes) {
    throw DataError(describe() + " has " + std::to_string(status.st_size) +
                    " bytes, more than the " + std::to_string(kMostMemberBytes) +
                    " that a single image may have");
  }
  bytes.resize(static_cast<std::size_t>(status.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      throw IoError("cannot read " + describe() + " at byte " + std::to_string(done) + ": " +
                    std::strerror(error));
    }
    if (count == 0) {
      throw DataError(describe() +
                      " became shorter while it was read; start again when it is complete");
    }
    done += static_cast<std::size_t>(count);
  }
  return stamp_of(status);
}

[[noreturn]] void refuse_size(const std::string& where, std::int64_t most_bytes) {
  throw DataError(where + " has more than the " + std::to_string(most_bytes) +
                  " bytes that it may have");
}

/// While it lives, this thread's characters are UTF-8: libarchive converts the names of members to
/// them, and in the C locale, which is the program's, any but ASCII ones come to nothing.
class Utf8Characters {
 public:
  Utf8Characters() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})) {
    if (utf8_ != locale_t{}) before_ = ::uselocale(utf8_);
  }
  ~Utf8Characters() {
    if (utf8_ == locale_t{}) return;
    ::uselocale(before_);
    ::freelocale(utf8_);
  }
  Utf8Characters(const Utf8Characters&) = delete;
  Utf8Characters& operator=(const Utf8Characters&) = delete;

 private:
  locale_t utf8_;
  locale_t before_{};
};

/// A file open in libarchive. Made and destroyed on one thread, the last made first.
class Reader {
 public:
  enum class Format { kArchive, kRaw };

  Reader(const std::string& path, Format format) : path_(path), archive_(::archive_read_new()) {
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

  /// The next entry; null after the last.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int result = ::archive_read_next_header(archive_.get(), &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) refuse("");
    return entry;
  }

  /// The name of the entry that next() returned, or nothing where it is no regular file of
  /// interest. @throws DataError where it has none that can be read
  [[nodiscard]] std::optional<std::string> member_name(archive_entry* entry) const {
    if (::archive_entry_filetype(entry) != AE_IFREG || ::archive_entry_hardlink(entry) != nullptr) {
      return std::nullopt;
    }
    const char* name = ::archive_entry_pathname(entry);
    if (name == nullptr) {
      throw DataError(path_ +
                      " holds a file whose name cannot be read; pack it again with names in UTF-8");
    }
    if (is_hidden(name)) return std::nullopt;
    return without_dot(name);
  }

  /// The bytes of the entry that next() returned. @throws DataError beyond `most_bytes`
  std::vector<std::uint8_t> read(const std::string& member, std::int64_t most_bytes,
                                 std::int64_t expected_bytes) {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(static_cast<std::size_t>(
        std::clamp<std::int64_t>(expected_bytes, 0, std::int64_t{1} << 26)));
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

  /// Whether the whole file is packed, so that passing over a member means unpacking it.
  [[nodiscard]] bool is_packed() const { return ::archive_filter_count(archive_.get()) > 1; }

  [[nodiscard]] bool is_tar() const {
    return (::archive_format(archive_.get()) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
  }

  /// Of a file that is not packed: where what the entry that next() returned has before its bytes
  /// begins, and where that ends.
  [[nodiscard]] std::int64_t header_position() const {
    return ::archive_read_header_position(archive_.get());
  }
  [[nodiscard]] std::int64_t data_position() const {
    return ::archive_filter_bytes(archive_.get(), 0);
  }

 private:
  struct Close {
    void operator()(archive* handle) const { ::archive_read_free(handle); }
  };

  [[noreturn]] void refuse(const std::string& member) const {
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

  std::string path_;
  Utf8Characters utf8_characters_;
  std::unique_ptr<archive, Close> archive_;
};

/// Where the members of a tar that is not packed lie, so that they can be read past libarchive. It
/// is known where each follows the one before with nothing but its own bytes, filled up to whole
/// blocks, between: not of members with holes.
class TarPlaces {
 public:
  struct Place {
    std::int64_t offset_bytes = 0, size_bytes = 0;
  };

  /// REQUIRES the entry that next() returned, each after the other.
  void add(const Reader& reader, archive_entry* entry, bool is_member) {
    known_ = known_ && !reader.is_packed() && reader.is_tar() && ends_at(reader.header_position());
    last_ = {reader.data_position(), ::archive_entry_size(entry)};
    // A header may claim what it likes.
    known_ = known_ && last_.size_bytes >= 0 && last_.size_bytes <= kMostMemberBytes;
    if (known_ && is_member) members_.push_back(last_);
  }

  /// Of each member, in the order of the file; empty where it is not known. REQUIRES that next()
  /// returned nothing: it looked for a header behind the last member.
  [[nodiscard]] std::vector<Place> members(const Reader& reader) && {
    if (!known_ || !ends_at(reader.header_position())) members_.clear();
    return std::move(members_);
  }

 private:
  [[nodiscard]] bool ends_at(std::int64_t position) const {
    constexpr std::int64_t kBlock = 512;
    const std::int64_t end = last_.offset_bytes + last_.size_bytes;
    return (end + kBlock - 1) / kBlock * kBlock == position;
  }

  bool known_ = true;
  Place last_;
  std::vector<Place> members_;
};

/// Reads the members of a tar whose places are known.
class TarReader final : public MemberReader {
 public:
  /// @param places by member
  /// @param order of the members in the file
  /// @param before the tar's stat from when it was listed
  TarReader(const std::string& path, std::vector<TarPlaces::Place> places,
            std::vector<std::size_t> order, const struct ::stat& before)
      : path_(path),
        places_(std::move(places)),
        order_(std::move(order)),
        file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
        listed_bytes_(before.st_size),
        watch_(path, require_open(), before) {}

  std::optional<FileStamp> read(std::size_t member,
                                std::vector<std::uint8_t>& bytes) const override {
    constexpr std::int64_t kLookMilliseconds = 100;
    const auto [offset, size] = places_[member];
    bytes.resize(static_cast<std::size_t>(size));
    read_fully(file_.get(), path_, offset, bytes);
    watch_.check(file_, offset + size, kLookMilliseconds);
    return std::nullopt;
  }

  [[nodiscard]] std::vector<std::size_t> order() const override { return order_; }

  /// @throws DataError where what was read up to now may not be what was listed
  void require_unchanged() const { watch_.check(file_, listed_bytes_, 0); }

 private:
  const FileDescriptor& require_open() const {
    if (!file_) throw IoError("cannot open " + path_ + ": " + std::strerror(errno));
    return file_;
  }

  std::string path_;
  std::vector<TarPlaces::Place> places_;
  std::vector<std::size_t> order_;
  FileDescriptor file_;
  std::int64_t listed_bytes_;
  FileWatch watch_;
};

/// A tar or zip.
class PackedArchive final : public Archive {
 public:
  explicit PackedArchive(const std::string& path) : Archive(path) {
    Reader reader(path, Reader::Format::kArchive);
    status_ = stat_of(path);
    std::vector<std::string> stored;
    TarPlaces tar;
    std::int64_t kept_bytes = 0;
    bool keep = true;
    while (archive_entry* entry = reader.next()) {
      const auto name = reader.member_name(entry);
      keep = keep && reader.is_packed();
      tar.add(reader, entry, name.has_value());
      if (!name) continue;
      stored.push_back(*name);
      keep = keep && ::archive_entry_size(entry) <= kMostKeptBytes - kept_bytes;
      if (keep) {
        kept_.push_back(reader.read(*name, kMostMemberBytes, ::archive_entry_size(entry)));
        kept_bytes += static_cast<std::int64_t>(kept_.back().size());
        keep = kept_bytes <= kMostKeptBytes;
      }
    }
    if (!keep) kept_ = {};

    std::vector<std::size_t> order(stored.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto before = [&](std::size_t a, std::size_t b) {
      return natural_less(stored[a], stored[b]);
    };
    if (!std::is_sorted(order.begin(), order.end(), before)) {  // mostly it is
      std::sort(order.begin(), order.end(), before);
    }
    place_.resize(stored.size());
    const auto stored_places = std::move(tar).members(reader);
    for (std::size_t member = 0; member < order.size(); ++member) {
      place_[order[member]] = member;
      if (!stored_places.empty()) tar_places_.push_back(stored_places[order[member]]);
      names_.push_back(stored[order[member]]);
      if (member > 0 && names_[member] == names_[member - 1]) {
        throw DataError(path + " holds " + names_[member] +
                        " twice, so it is not clear which is meant; pack it again");
      }
    }
  }

  [[nodiscard]] std::vector<std::string> files() const override { return {path_}; }
  [[nodiscard]] bool members_are_files() const override { return false; }

  [[nodiscard]] std::string describe(std::size_t member) const override {
    return path_ + ": " + names_[member];
  }

  void read(
      const std::function<bool(std::size_t)>& wanted,
      const std::function<void(std::size_t, std::vector<std::uint8_t>)>& take) const override {
    if (!kept_.empty()) {
      for (std::size_t stored = 0; stored < kept_.size(); ++stored) {
        if (wanted(place_[stored])) take(place_[stored], kept_[stored]);
      }
      return;
    }
    if (!tar_places_.empty()) {
      read_places(wanted, take);
      return;
    }
    Reader reader(path_, Reader::Format::kArchive);
    std::size_t stored = 0;
    while (archive_entry* entry = reader.next()) {
      const auto name = reader.member_name(entry);
      if (!name) continue;
      if (stored >= place_.size() || *name != names_[place_[stored]]) changed();
      const std::size_t member = place_[stored++];
      if (wanted(member)) {
        take(member, reader.read(*name, kMostMemberBytes, ::archive_entry_size(entry)));
      }
    }
    if (stored != place_.size()) changed();
  }

  [[nodiscard]] std::unique_ptr<MemberReader> reader() const override {
    if (tar_places_.empty()) return nullptr;
    return std::make_unique<TarReader>(path_, tar_places_, place_, status_);
  }

 private:
  [[noreturn]] void changed() const {
    throw DataError(path_ + " changed while it was read; start again when it is complete");
  }

  /// read() of a tar whose places are known.
  void read_places(const std::function<bool(std::size_t)>& wanted,
                   const std::function<void(std::size_t, std::vector<std::uint8_t>)>& take) const {
    const TarReader members(path_, tar_places_, place_, status_);
    for (const std::size_t member : place_) {
      if (!wanted(member)) continue;
      std::vector<std::uint8_t> bytes;
      members.read(member, bytes);
      take(member, std::move(bytes));
    }
    members.require_unchanged();
  }

  std::vector<std::size_t> place_;               ///< Of the n-th stored member in names().
  std::vector<std::vector<std::uint8_t>> kept_;  ///< By stored order; empty where not kept.
  std::vector<TarPlaces::Place> tar_places_;     ///< By member; empty where not known.
  struct ::stat status_ {};                      ///< Of the file, when it was opened.
};

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

/// A folder, or one plain file.
class Folder final : public Archive {
 public:
  explicit Folder(const std::string& path)
      : Archive(path),
        is_folder_(fs::is_directory(path)),
        before_names_(is_folder_ ? (fs::path(path) / "").string() : "") {
    if (is_folder_) {
      add_folder("");
      std::sort(names_.begin(), names_.end(), natural_less);
    } else {
      names_.push_back(fs::path(path).filename().string());
    }
  }

  [[nodiscard]] std::vector<std::string> files() const override {
    std::vector<std::string> paths;
    paths.reserve(names_.size());
    for (std::size_t member = 0; member < names_.size(); ++member)
      paths.push_back(describe(member));
    return paths;
  }
  [[nodiscard]] bool members_are_files() const override { return true; }

  [[nodiscard]] std::string describe(std::size_t member) const override {
    return is_folder_ ? before_names_ + names_[member] : path_;
  }

  void read(
      const std::function<bool(std::size_t)>& wanted,
      const std::function<void(std::size_t, std::vector<std::uint8_t>)>& take) const override {
    const FileReader files(*this);
    for (std::size_t member = 0; member < names_.size(); ++member) {
      if (!wanted(member)) continue;
      std::vector<std::uint8_t> bytes;
      files.read(member, bytes);
      take(member, std::move(bytes));
    }
  }

  [[nodiscard]] std::unique_ptr<MemberReader> reader() const override {
    return std::make_unique<FileReader>(*this);
  }

 private:
  /// The way to the folder is looked up once, not for each file.
  class FileReader final : public MemberReader {
   public:
    explicit FileReader(const Folder& folder)
        : folder_(folder),
          directory_(folder.is_folder_
                         ? ::open(folder.path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)
                         : -1) {
      if (folder.is_folder_ && !directory_) {
        throw IoError("cannot open " + folder.path_ + ": " + std::strerror(errno));
      }
    }

    std::optional<FileStamp> read(std::size_t member,
                                  std::vector<std::uint8_t>& bytes) const override {
      const auto describe = [&] { return folder_.describe(member); };
      if (!directory_) return read_whole_file(AT_FDCWD, folder_.path_, describe, bytes);
      return read_whole_file(directory_.get(), folder_.names_[member], describe, bytes);
    }

    [[nodiscard]] std::vector<std::size_t> order() const override {
      std::vector<std::size_t> members(folder_.names_.size());
      std::iota(members.begin(), members.end(), std::size_t{0});
      return members;
    }

   private:
    const Folder& folder_;
    FileDescriptor directory_;
  };

  void add_folder(const std::string& below) {
    const std::string path = before_names_ + below;
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
    const auto next = [&] {
      errno = 0;  // what tells the end from a failure
      return ::readdir(directory.get());
    };
    while (const ::dirent* entry = directory ? next() : nullptr) {
      add_entry(::dirfd(directory.get()), *entry, below.empty() ? "" : below + "/");
    }
    if (const int error = errno; error != 0) {
      throw IoError("cannot list " + path + ": " + std::strerror(error));
    }
  }

  void add_entry(int directory, const ::dirent& entry, const std::string& before) {
    if (entry.d_name[0] == '.') return;  // hidden, or this folder, or the one above
    const std::string name = before + entry.d_name;
    if (is_hidden(name)) return;
    unsigned char type = entry.d_type;
    if (type == DT_UNKNOWN || type == DT_LNK) {
      struct ::stat status {};
      // Not followed: a link to a folder could go in circles. Where a link leads nowhere, as where
      // the file has gone, there is none.
      const bool is_link = type == DT_LNK ||
                           (::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                            S_ISLNK(status.st_mode));
      if (::fstatat(directory, entry.d_name, &status, 0) != 0) return;
      if (S_ISREG(status.st_mode)) type = DT_REG;
      if (S_ISDIR(status.st_mode) && !is_link) type = DT_DIR;
    }
    if (type == DT_DIR) add_folder(name);
    if (type == DT_REG) names_.push_back(name);
  }

  const bool is_folder_;
  const std::string before_names_;  ///< Of the members' paths, "/" at its end.
};

}  // namespace

bool natural_less(std::string_view left, std::string_view right) {
  const std::string_view all_left = left;
  const std::string_view all_right = right;
  while (!left.empty() && !right.empty()) {
    if (is_digit(left.front()) && is_digit(right.front())) {
      auto a = left.substr(0, digits_of(left));
      auto b = right.substr(0, digits_of(right));
      left.remove_prefix(a.size());
      right.remove_prefix(b.size());
      a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
      b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
      if (a.size() != b.size()) return a.size() < b.size();
      if (a != b) return a < b;
    } else {
      if (left.front() != right.front()) {
        return static_cast<unsigned char>(left.front()) < static_cast<unsigned char>(right.front());
      }
      left.remove_prefix(1);
      right.remove_prefix(1);
    }
  }
  if (left.empty() != right.empty()) return left.empty();
  return all_left < all_right;  // equal but for leading zeros
}

bool is_archive_name(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return name.ends_with(".zip") || name.ends_with(".tar") || name.find(".tar.") != name.npos ||
         name.ends_with(".tgz") || name.ends_with(".txz") || name.ends_with(".tbz2") ||
         name.ends_with(".tzst");
}

std::unique_ptr<Archive> Archive::open(const std::string& path) {
  if (!fs::exists(path)) {
    throw MissingInputError("there is no file or folder " + path + "; check the path");
  }
  if (!fs::is_directory(path) && is_archive_name(path)) {
    return std::make_unique<PackedArchive>(path);
  }
  return std::make_unique<Folder>(path);
}

std::vector<std::uint8_t> Archive::read_one(std::size_t member) const {
  std::vector<std::uint8_t> found;
  read([member](std::size_t other) { return other == member; },
       [&found](std::size_t, std::vector<std::uint8_t> bytes) { found = std::move(bytes); });
  return found;
}

std::vector<std::uint8_t> read_packed_file(const std::string& path, std::int64_t most_bytes) {
  Reader reader(path, Reader::Format::kRaw);
  if (reader.next() == nullptr) return {};
  return reader.read("", most_bytes, 0);
}

}  // namespace gondola
