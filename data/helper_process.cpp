#include "data/helper_process.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

namespace gondola {
namespace {

enum class Reply : char { kAnswer, kError, kNoMemory };

[[noreturn]] void throw_error(ExitCode code, const std::string& sentence) {
  switch (code) {
    case ExitCode::kBadConfig:
      throw ConfigError(sentence);
    case ExitCode::kMissingInput:
      throw MissingInputError(sentence);
    case ExitCode::kIoFailed:
      throw IoError(sentence);
    default:
      throw DataError(sentence);
  }
}

/// The whole life of the helper. An exception must not leave it: this is a copy of the program.
[[noreturn]] void live(ProcessLink& link, const std::function<void(ProcessLink&)>& work) noexcept {
  try {
    work(link);
  } catch (const Error& error) {
    try {
      link.put(Reply::kError);
      link.put(error.code());
      link.put_list(std::string(error.what()));
    } catch (const ProcessLink::Closed&) {
    }
  } catch (const std::bad_alloc&) {
    try {
      link.put(Reply::kNoMemory);
    } catch (...) {
    }
  } catch (...) {  // the other side is gone, or sees that the link ends
  }
  ::_exit(0);
}

}  // namespace

void ProcessLink::limit_waits(double seconds) {
  ::timeval limit{};
  limit.tv_sec = static_cast<::time_t>(seconds);
  limit.tv_usec = static_cast<::suseconds_t>((seconds - std::floor(seconds)) * 1e6);
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    ::setsockopt(socket_.get(), SOL_SOCKET, option, &limit, sizeof(limit));
  }
}

void ProcessLink::send(const void* bytes, std::size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t sent = ::send(socket_.get(), next, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) throw Silent();
    if (sent <= 0) throw Closed();
    next += sent;
    count -= static_cast<std::size_t>(sent);
  }
}

void ProcessLink::receive(void* bytes, std::size_t count) {
  char* next = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t received = ::recv(socket_.get(), next, count, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0 && errno == EAGAIN) throw Silent();
    if (received <= 0) throw Closed();
    next += received;
    count -= static_cast<std::size_t>(received);
  }
}

HelperProcess::HelperProcess(const std::function<void(ProcessLink&)>& work, double limit_seconds)
    : limit_seconds_(limit_seconds) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw IoError(std::string("cannot make a socket for a helper process: ") +
                  std::strerror(errno) + "; check the limits on open files");
  }
  FileDescriptor here(ends[0]), there(ends[1]);
  const pid_t owner = ::getpid();
  process_ = ::fork();
  if (process_ < 0) {
    throw IoError(std::string("cannot start a helper process: ") + std::strerror(errno) +
                  "; check the limits on processes and memory");
  }
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != owner) ::_exit(0);  // it ended before that was asked for
    here.close();
    ProcessLink link(std::move(there));
    live(link, work);
  }
  link_ = ProcessLink(std::move(here));
  link_.limit_waits(limit_seconds);
}

HelperProcess::~HelperProcess() { kill(); }

void HelperProcess::kill() noexcept {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);  // it may be busy with a damaged file
    wait();
  }
}

int HelperProcess::wait() noexcept {
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  return status;
}

void HelperProcess::begin_answer(ProcessLink& link) { link.put(Reply::kAnswer); }

void HelperProcess::answer(const std::string& name, const std::function<void(ProcessLink&)>& ask,
                           const std::function<void(ProcessLink&)>& take) {
  const auto refuse = [&](const std::string& what) {
    kill();
    throw DataError(name + " cannot be read: " + what);
  };
  constexpr const char* kCure = "; the file is damaged: copy or make it again";
  try {
    ask(link_);
    const auto reply = link_.get<Reply>();
    if (reply == Reply::kAnswer) {
      take(link_);
      return;
    }
    if (reply == Reply::kNoMemory) {
      refuse("there is not enough memory for what it holds; free some, or check which file it is");
    }
    if (reply != Reply::kError) throw ProcessLink::Nonsense();
    const auto code = link_.get<ExitCode>();
    throw_error(code, link_.get_list<std::string>());
  } catch (const ProcessLink::Closed&) {
    const int status = process_ > 0 ? wait() : 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
      refuse("the process that reads it was killed (signal " + std::to_string(SIGKILL) +
             "), perhaps for want of memory; free some, or check which file it is");
    }
    refuse("the library that reads it crashed on it" +
           (WIFSIGNALED(status) ? " (signal " + std::to_string(WTERMSIG(status)) + ")" : "") +
           kCure);
  } catch (const ProcessLink::Nonsense&) {
    refuse(std::string("the library that reads it was led astray by it") + kCure);
  } catch (const ProcessLink::Silent&) {
    refuse("the library that reads it has been silent for " +
           std::to_string(static_cast<long long>(std::ceil(limit_seconds_))) +
           " s; the file is damaged, so copy or make it again, or its disk does not answer");
  }
}

}  // namespace gondola
