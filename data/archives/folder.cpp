#include "data/archives/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "configs/errors.hpp"
#include "data/archives/member_names.hpp"
#include "data/archives/natural_order.hpp"
#include "data/file_descriptor.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

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
      if (::fstatat(directory, entry.d_name, &status, 0) != 0) {
        const int error = errno;
        if (error == ENOENT) return;
        throw IoError("cannot look at " + before_names_ + name + ": " + std::strerror(error));
      }
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

std::unique_ptr<Archive> open_folder(const std::string& path) {
  return std::make_unique<Folder>(path);
}

}  // namespace gondola
