#include "data/file_watch.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "configs/errors.hpp"

namespace gondola {
namespace {

bool same_time(const ::timespec& a, const ::timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/// Cheap, and exact to a few milliseconds.
std::int64_t monotonic_milliseconds() {
  ::timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

struct ::stat stat_of(const std::string& path, const FileDescriptor& file) {
  struct ::stat status {};
  if (::fstat(file.get(), &status) != 0) {
    throw IoError("cannot look at " + path + ": " + std::strerror(errno));
  }
  return status;
}

}  // namespace

struct ::stat stat_of(const std::string& path) {
  struct ::stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    const std::string sentence = "cannot open " + path + ": " + std::strerror(errno);
    if (errno == ENOENT || errno == ENOTDIR) {
      throw MissingInputError(sentence + "; check the path");
    }
    throw IoError(sentence);
  }
  return status;
}

FileStamp stamp_of(const struct ::stat& status) {
  return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::string cut_file_text(const std::string& path, std::int64_t end_byte) {
  return path + " ends at byte " + std::to_string(end_byte) +
         " though its images go on; the file was cut after it was opened: copy it again";
}

FileWatch::FileWatch(std::string path, const FileDescriptor& file, const struct ::stat& before)
    : path_(std::move(path)),
      bytes_(before.st_size),
      written_(before.st_mtim),
      bytes_now_(before.st_size) {
  const auto now = stat_of(path_, file);
  if (now.st_ino != before.st_ino || now.st_dev != before.st_dev || now.st_size != bytes_ ||
      !same_time(now.st_mtim, written_)) {
    throw DataError(path_ +
                    " was replaced or written while it was being opened; start again when "
                    "nothing writes to it");
  }
}

void FileWatch::check(const FileDescriptor& file, std::int64_t end_byte,
                      std::int64_t milliseconds) const {
  const std::int64_t now = monotonic_milliseconds();
  if (now - looked_.load(std::memory_order_relaxed) >= milliseconds) {
    looked_.store(now, std::memory_order_relaxed);
    const auto status = stat_of(path_, file);
    bytes_now_.store(status.st_size, std::memory_order_relaxed);
    if (status.st_size >= bytes_ && !same_time(status.st_mtim, written_)) {
      throw DataError(path_ +
                      " was written to after it was opened, so its images are no longer those of "
                      "this run; start again with a file that nothing writes to");
    }
  }
  const std::int64_t bytes = bytes_now_.load(std::memory_order_relaxed);
  if (end_byte > bytes) {
    throw DataError(cut_file_text(path_, bytes));
  }
}

}  // namespace gondola
