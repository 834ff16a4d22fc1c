#include "monitoring/bounded_server.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace gondola {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kThreads = 16;
constexpr std::size_t kCrowd = 64;

/// httplib's pool of threads, which counts what it was given and has not done.
class CountingPool final : public httplib::TaskQueue {
 public:
  CountingPool(std::size_t threads, std::atomic<std::size_t>& pending)
      : pool_(threads), pending_(pending) {}

  void enqueue(std::function<void()> task) override {
    ++pending_;
    pool_.enqueue([this, task = std::move(task)] {
      task();
      --pending_;
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  httplib::ThreadPool pool_;
  std::atomic<std::size_t>& pending_;
};

/// One connection, until its time is up.
class BoundedStream final : public httplib::Stream {
 public:
  BoundedStream(socket_t socket, const BoundedServer& server) : socket_(socket), server_(server) {}

  [[nodiscard]] bool is_readable() const override { return wait_for(POLLIN); }
  [[nodiscard]] bool is_writable() const override { return wait_for(POLLOUT); }

  ssize_t read(char* bytes, std::size_t count) override {
    if (next_ == end_) {
      const std::size_t room = std::min(buffer_.size(), BoundedServer::kRequestBytes - received_);
      if (room == 0 || !wait_for(POLLIN)) return -1;
      const ssize_t got = ::recv(socket_, buffer_.data(), room, 0);
      if (got <= 0) return got;
      next_ = 0;
      end_ = static_cast<std::size_t>(got);
      received_ += end_;
    }
    const std::size_t given = std::min(count, end_ - next_);
    std::memcpy(bytes, buffer_.data() + next_, given);
    next_ += given;
    return static_cast<ssize_t>(given);
  }

  ssize_t write(const char* bytes, std::size_t count) override {
    if (!answering_) {
      answering_ = true;
      start_ = Clock::now();
    }
    ssize_t sent = -1;
    do {
      if (!wait_for(POLLOUT)) return -1;
      sent = ::send(socket_, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && (errno == EAGAIN || errno == EINTR));
    return sent;
  }

  void get_remote_ip_and_port(std::string&, int&) const override {}  // nobody asks
  void get_local_ip_and_port(std::string&, int&) const override {}
  [[nodiscard]] socket_t socket() const override { return socket_; }

 private:
  /// Whether the socket is ready before the time is up; looks at the crowd now and then.
  [[nodiscard]] bool wait_for(short event) const {
    constexpr milliseconds kGlance{20};
    while (true) {
      pollfd wanted{.fd = socket_, .events = event, .revents = 0};
      const auto patience = server_.patience();
      const auto allowed = answering_ ? patience.answer : patience.request;
      const auto left = std::chrono::ceil<milliseconds>(start_ + allowed - Clock::now());
      if (left.count() <= 0) return false;
      const int ready = ::poll(&wanted, 1, static_cast<int>(std::min(left, kGlance).count()));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

  socket_t socket_;
  const BoundedServer& server_;
  Clock::time_point start_ = Clock::now();  ///< Of reading, later of answering.
  bool answering_ = false;
  std::size_t received_ = 0;
  std::array<char, 4096> buffer_{};
  std::size_t next_ = 0, end_ = 0;
};

}  // namespace

BoundedServer::BoundedServer() {
  new_task_queue = [this] { return new CountingPool(kThreads, pending_); };  // httplib owns it
  set_keep_alive_max_count(1);
  set_payload_max_length(4096);
}

void BoundedServer::widen_queue() { ::listen(svr_sock_, SOMAXCONN); }

BoundedServer::Patience BoundedServer::patience() const {
  if (svr_sock_ == INVALID_SOCKET || pending_ > kCrowd)
    return {.request = milliseconds(2), .answer = milliseconds(100)};
  if (pending_ > kThreads) return {.request = milliseconds(50), .answer = milliseconds(1000)};
  return {.request = milliseconds(2000), .answer = milliseconds(10000)};
}

bool BoundedServer::process_and_close_socket(socket_t socket) {
  BoundedStream stream(socket, *this);
  bool closed = false;
  const bool done = process_request(stream, /*close_connection=*/true, closed,
                                    [](httplib::Request& request) { request.ranges.clear(); });
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
  return done;
}

}  // namespace gondola
