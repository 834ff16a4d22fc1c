#include "data/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "configs/errors.hpp"
#include "data/file_watch.hpp"

namespace gondola {
namespace {

constexpr const char* kPartial = ".partial-";

const char* cure_of(int error) {
  if (is_full(error)) return "; free some space or write elsewhere";
  return error == EIO ? "; look at the disk or network it lies on" : "";
}

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& path, int error) {
  throw IoError("cannot " + what + " " + path.string() + ": " + std::strerror(error) +
                cure_of(error));
}

/// Renames a file to a name that no file has. Returns 0 or the error.
int rename_to_new(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (std::filesystem::exists(to)) return EEXIST;  // not every file system can do both at once
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

bool is_full(int error) noexcept { return error == ENOSPC || error == EDQUOT; }

void flush_to_disk(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    fail("open", path, errno);
  }
  // Folders of some network file systems know no fsync, which is no fault.
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    fail("flush", path, errno);
  }
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  temporary_ = path_;
  temporary_ += kPartial + std::to_string(::getpid());
  lock_ = FileDescriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (!lock_) {
    fail("create", path_, errno);
  }
  // Some network file systems know no locks; there nothing is told to be abandoned either.
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw IoError("another process is writing " + path_.string() + " (as " + temporary_.string() +
                  "); wait for it or write elsewhere");
  }
  if (::ftruncate(lock_.get(), 0) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    fail("create", path_, error);
  }
}

AtomicFile::~AtomicFile() {
  if (!committed_) {
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::commit(Existing existing) {
  flush_to_disk(temporary_);
  if (existing == Existing::kReplace) {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
      fail("rename the finished file to", path_, errno);
    }
  } else if (const int error = rename_to_new(temporary_, path_); error == EEXIST) {
    throw ConfigError(path_.string() +
                      " was made by another process meanwhile and is not overwritten; remove it "
                      "or choose another name");
  } else if (error != 0) {
    fail("rename the finished file to", path_, error);
  }
  committed_ = true;
  const auto folder = path_.parent_path();
  flush_to_disk(folder.empty() ? std::filesystem::path(".") : folder);
}

void remove_abandoned(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const std::string start = path.filename().string() + kPartial;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!entry.path().filename().string().starts_with(start)) {
      continue;
    }
    const FileDescriptor file(::open(entry.path().c_str(), O_WRONLY | O_CLOEXEC));
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      ::unlink(entry.path().c_str());
    }
  }
}

void write_fully(int file, const std::string& path, std::int64_t offset,
                 std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      fail("write", path, written == 0 ? EIO : errno);
    }
    offset += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void read_fully(int file, const std::string& path, std::int64_t offset,
                std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t count = ::pread(file, out.data(), out.size(), offset);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      const int error = errno;
      throw IoError("cannot read " + path + " at byte " + std::to_string(offset) + ": " +
                    std::strerror(error) + cure_of(error));
    }
    if (count == 0) {
      throw DataError(cut_file_text(path, offset));
    }
    offset += count;
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
  write_file_atomically(path, {&bytes, 1});
}

void write_file_atomically(const std::filesystem::path& path,
                           std::span<const std::span<const std::uint8_t>> pieces) {
  AtomicFile target(path);
  FileDescriptor file(::open(target.temporary().c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) {
    fail("open", path, errno);
  }
  std::int64_t offset = 0;
  for (const auto piece : pieces) {
    write_fully(file.get(), path.string(), offset, piece);
    offset += std::ssize(piece);
  }
  if (!file.close()) {
    fail("write", path, errno);
  }
  target.commit();
}

}  // namespace gondola
