#include "data/importers/helper_process.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace gondola {
namespace {

enum class Reply : char { kAnswer, kError };

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
  } catch (...) {  // the other side is gone, or there is no memory: it sees that the link ends
  }
  ::_exit(0);
}

}  // namespace

void ProcessLink::send(const void* bytes, std::size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t sent = ::send(socket_.get(), next, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
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
    if (received <= 0) throw Closed();
    next += received;
    count -= static_cast<std::size_t>(received);
  }
}

HelperProcess::HelperProcess(const std::function<void(ProcessLink&)>& work) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw IoError(std::string("cannot make a socket for a helper process: ") +
                  std::strerror(errno) + "; check the limits on open files");
  }
  FileDescriptor here(ends[0]), there(ends[1]);
  process_ = ::fork();
  if (process_ < 0) {
    throw IoError(std::string("cannot start a helper process: ") + std::strerror(errno) +
                  "; check the limits on processes and memory");
  }
  if (process_ == 0) {
    here.close();
    ProcessLink link(std::move(there));
    live(link, work);
  }
  link_ = ProcessLink(std::move(here));
}

HelperProcess::~HelperProcess() {
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
  try {
    ask(link_);
    if (link_.get<Reply>() == Reply::kAnswer) {
      take(link_);
      return;
    }
    const auto code = link_.get<ExitCode>();
    throw_error(code, link_.get_list<std::string>());
  } catch (const ProcessLink::Closed&) {
    const int status = process_ > 0 ? wait() : 0;
    throw DataError(
        name + " cannot be read: the library that reads it crashed on it" +
        (WIFSIGNALED(status) ? " (signal " + std::to_string(WTERMSIG(status)) + ")" : "") +
        "; the file is damaged: copy or make it again");
  }
}

}  // namespace gondola
