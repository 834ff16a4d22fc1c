#include "launch/run_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "configs/errors.hpp"
#include "launch/host_name.hpp"

namespace gondola {
namespace {

/// "process 1234 on node7 (Slurm job 99) since 2026-01-31 12:00:00"
std::string owner() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 32> since{};
  std::strftime(since.data(), since.size(), "%Y-%m-%d %H:%M:%S", &local);
  const char* const job = std::getenv("SLURM_JOB_ID");
  return "process " + std::to_string(::getpid()) + " on " + host_name() +
         (job != nullptr ? std::string(" (Slurm job ") + job + ")" : "") + " since " + since.data();
}

std::string text_of(const FileDescriptor& file) {
  std::array<char, 512> text{};
  const auto length = ::pread(file.get(), text.data(), text.size() - 1, 0);
  std::string line(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return line.substr(0, line.find('\n'));
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& run_folder) {
  const auto path = run_folder / "LOCK";
  file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file_) throw IoError("cannot open " + path.string() + ": " + std::strerror(errno));
  struct flock lock {};  // of this process: what it starts does not keep it
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file_.get(), F_SETLK, &lock) != 0) {
    if (errno != EACCES && errno != EAGAIN) return;
    const auto holder = text_of(file_);
    throw WorldError("run folder '" + run_folder.string() + "' is in use by " +
                     (holder.empty() ? "another process" : holder) +
                     ": wait for it to end, or name another --run.folder");
  }
  const auto line = owner() + "\n";
  if (::ftruncate(file_.get(), 0) != 0 ||
      ::pwrite(file_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    throw IoError("cannot write " + path.string() + ": " + std::strerror(errno));
  }
}

}  // namespace gondola
