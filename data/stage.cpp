#include "data/stage.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/checksum.hpp"
#include "data/expand_paths.hpp"
#include "data/file_descriptor.hpp"
#include "data/file_watch.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kPartBytes = std::int64_t{1} << 22;
using Told = std::function<void(std::int64_t bytes)>;  ///< Of bytes more that are done.

std::filesystem::path staged_path(const std::string& original,
                                  const std::filesystem::path& folder) {
  const std::string whole = std::filesystem::absolute(original).lexically_normal();
  Xxh3 sum;
  sum.update(whole.data(), whole.size());
  std::string name = std::filesystem::path(original).filename();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::strchr(",*?[", c) != nullptr; }, '_');
  return folder / (sum.hex() + "-" + name);
}

/// What the note beside a copy says: length and time of writing of the original, and their sum.
std::string note_text(const struct ::stat& original, const std::string& sum) {
  return std::to_string(original.st_size) + " " + std::to_string(original.st_mtim.tv_sec) + " " +
         std::to_string(original.st_mtim.tv_nsec) + " " + sum + "\n";
}

std::filesystem::path note_path(std::filesystem::path copy) { return copy += ".xxh3"; }

FileDescriptor open_to_read(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) throw IoError("cannot open " + path + ": " + std::strerror(errno));
  return file;
}

/// Reads the first `bytes` bytes of a file in parts. @return their XXH3. @throws DataError, IoError
template <typename Take>
std::string read_parts(const FileDescriptor& file, const std::string& path, std::int64_t bytes,
                       const Take& take) {
  std::vector<std::uint8_t> buffer(static_cast<std::size_t>(std::min(bytes, kPartBytes)));
  Xxh3 sum;
  for (std::int64_t at = 0; at < bytes;) {
    const auto part =
        std::span(buffer).first(static_cast<std::size_t>(std::min(kPartBytes, bytes - at)));
    read_fully(file.get(), path, at, part);
    sum.update(part.data(), part.size());
    take(at, std::span<const std::uint8_t>(part));
    at += static_cast<std::int64_t>(part.size());
  }
  return sum.hex();
}

/// Whether the copy that is there is the original as its note says.
bool is_staged(const std::filesystem::path& copy, const struct ::stat& original) {
  struct ::stat status {};
  if (::stat(copy.c_str(), &status) != 0 || status.st_size != original.st_size) return false;
  std::ifstream note(note_path(copy));
  const std::string said{std::istreambuf_iterator<char>(note), {}};
  if (!said.starts_with(note_text(original, "").substr(0, note_text(original, "").size() - 1))) {
    return false;  // before the copy is read
  }
  try {
    const auto file = open_to_read(copy);
    const auto sum = read_parts(file, copy, original.st_size,
                                [](std::int64_t, std::span<const std::uint8_t>) {});
    return said == note_text(original, sum);
  } catch (const Error&) {
    return false;  // pages that the disk does not give back: it is made again
  }
}

/// @throws IoError
[[noreturn]] void refuse_full_disk(const std::string& original, const std::filesystem::path& copy,
                                   std::int64_t bytes) {
  struct ::statvfs disk {};
  const bool known = ::statvfs(copy.parent_path().c_str(), &disk) == 0;
  const auto left = static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize);
  throw IoError(
      "cannot copy " + original + " to " + copy.string() + ": it has " + std::to_string(bytes) +
      " bytes and the disk " +
      (known ? "only " + std::to_string(left) + " left" : std::string("not as many left")) +
      "; free some space, or name a folder on a larger disk with data.stage");
}

/// Space for a copy, taken now where the file system can.
void reserve(const FileDescriptor& file, const std::string& original,
             const std::filesystem::path& copy, std::int64_t bytes) {
  if (bytes > 0 && ::fallocate(file.get(), 0, 0, bytes) != 0 && is_full(errno)) {
    refuse_full_disk(original, copy, bytes);
  }
}

void copy_file(const std::string& original, const struct ::stat& status,
               const std::filesystem::path& copy, const Told& told) {
  remove_abandoned(copy);
  AtomicFile target(copy);
  std::string sum;
  {
    const auto from = open_to_read(original);
    const FileWatch watch(original, from, status);
    FileDescriptor to(::open(target.temporary().c_str(), O_RDWR | O_CLOEXEC));
    if (!to) throw IoError("cannot open " + target.temporary().string());
    reserve(to, original, copy, status.st_size);
    sum = read_parts(from, original, status.st_size,
                     [&](std::int64_t at, std::span<const std::uint8_t> part) {
                       write_fully(to.get(), copy, at, part);
                       told(static_cast<std::int64_t>(part.size()));
                     });
    watch.check(from, status.st_size, 0);
    (void)::fsync(to.get());
    (void)::posix_fadvise(to.get(), 0, 0, POSIX_FADV_DONTNEED);  // read back what the disk has
    const auto back =
        read_parts(to, copy, status.st_size, [](std::int64_t, std::span<const std::uint8_t>) {});
    if (back != sum) {
      throw IoError("the copy " + copy.string() + " of " + original + " reads back as " + back +
                    " where " + sum +
                    " was written; look at that disk, or name another with "
                    "data.stage");
    }
  }
  // The note goes first: without the copy it says nothing.
  const std::string note = note_text(status, sum);
  write_file_atomically(note_path(copy),
                        {reinterpret_cast<const std::uint8_t*>(note.data()), note.size()});
  target.commit();
}

}  // namespace

std::string staged_paths(const std::string& list, const std::filesystem::path& folder) {
  std::string copies;
  for (const std::string& path : expand_paths(list)) {
    copies += (copies.empty() ? "" : ",") + staged_path(path, folder).string();
  }
  return copies;
}

std::int64_t bytes_to_stage(const std::string& list) {
  std::int64_t bytes = 0;
  for (const std::string& path : expand_paths(list)) bytes += stat_of(path).st_size;
  return bytes;
}

StageReport stage_files(const std::string& list, const std::filesystem::path& folder,
                        const std::function<void(std::int64_t done, std::int64_t of)>& progress) {
  if (folder.string().find(',') != std::string::npos) {
    throw ConfigError("the folder data.stage = " + folder.string() +
                      " has a comma in its name, which parts the files of a dataset; name another");
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw IoError("cannot make the folder data.stage = " + folder.string() + ": " +
                  error.message() + "; name one on a disk of this machine");
  }
  const std::int64_t all = bytes_to_stage(list);
  StageReport report;
  std::int64_t done = 0;
  const auto told = [&](std::int64_t bytes) { progress(done += bytes, all); };
  for (const std::string& original : expand_paths(list)) {
    const auto status = stat_of(original);
    const auto copy = staged_path(original, folder);
    ++report.files;
    if (is_staged(copy, status)) {
      told(status.st_size);
      continue;
    }
    copy_file(original, status, copy, told);
    ++report.copied_files;
    report.copied_bytes += status.st_size;
  }
  return report;
}

}  // namespace gondola
