#include "tests/parallel/fake_nccl/mesh.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace gondola::fake_nccl {
namespace {

using namespace std::chrono_literals;

/// The abstract address of a name, and its length.
std::pair<sockaddr_un, socklen_t> address_of(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())};
}

int new_socket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error("no socket");
  return fd;
}

void send_all(int fd, const void* data, std::size_t bytes) {
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto sent = send(fd, next, bytes, MSG_NOSIGNAL);
    if (sent <= 0) throw PeerGone();
    next += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
}

void receive_all(int fd, void* data, std::size_t bytes) {
  auto* next = static_cast<char*>(data);
  while (bytes > 0) {
    const auto got = recv(fd, next, bytes, 0);
    if (got <= 0) throw PeerGone();
    next += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

}  // namespace

Mesh::Mesh(int rank, int size) : rank_(rank), size_(size), peers_(static_cast<std::size_t>(size)) {}

Mesh::~Mesh() {
  for (const auto& peer : peers_) {
    if (peer > 0) close(peer);
  }
}

int Mesh::listen_at(const std::string& name) {
  const int fd = new_socket();
  const auto [address, length] = address_of(name);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0 || listen(fd, 64) != 0) {
    throw std::runtime_error("cannot listen at " + name);
  }
  return fd;
}

bool Mesh::connect(const std::string& name, int listener) {
  char all_here = 1;
  if (rank_ > 0) {
    const int fd = new_socket();
    const auto [address, length] = address_of(name);
    while (::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      if (ended_) return close(fd), false;
      std::this_thread::sleep_for(1ms);
    }
    peers_[0] = fd;
    send_all(fd, &rank_, sizeof rank_);
    receive_all(fd, &all_here, 1);
    return !ended_;
  }
  for (int others = 1; others < size_ && !ended_;) {
    pollfd waiting{.fd = listener, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, /*milliseconds=*/5) <= 0) continue;
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    int peer = 0;
    receive_all(fd, &peer, sizeof peer);
    peers_[static_cast<std::size_t>(peer)] = fd;
    ++others;
  }
  close(listener);
  for (int r = 1; r < size_ && !ended_; ++r) send_all(to(r), &all_here, 1);
  return !ended_;
}

void Mesh::end() {
  ended_ = true;
  for (const auto& peer : peers_) {
    if (peer > 0) shutdown(peer, SHUT_RDWR);
  }
}

void Mesh::gather_and_send(const void* mine, std::size_t bytes,
                           const std::function<void(int, const char*)>& combine, void* result,
                           std::size_t result_bytes) {
  if (rank_ > 0) {
    send_all(to(0), mine, bytes);
    receive_all(to(0), result, result_bytes);
    return;
  }
  std::vector<char> theirs(bytes);
  for (int r = 1; r < size_; ++r) {
    receive_all(to(r), theirs.data(), bytes);
    combine(r, theirs.data());
  }
  for (int r = 1; r < size_; ++r) send_all(to(r), result, result_bytes);
}

}  // namespace gondola::fake_nccl
