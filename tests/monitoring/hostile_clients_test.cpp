#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <poll.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "monitoring/metrics_endpoint.hpp"
#include "tests/support/damage.hpp"

namespace gondola {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A client that sends what it likes. Move-only.
class RawClient {
 public:
  explicit RawClient(int port, int receive_bytes = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  RawClient& operator=(RawClient&& other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~RawClient() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// Sends as much as the other side takes. @return bytes
  std::size_t send(std::string_view text) const {
    std::size_t sent = 0;
    while (sent < text.size()) {
      pollfd ready{.fd = socket_, .events = POLLOUT, .revents = 0};
      if (::poll(&ready, 1, 10000) <= 0) break;
      const auto count = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    return sent;
  }

  /// Everything up to the end of the connection; nothing where that does not come.
  [[nodiscard]] std::optional<std::string> receive() const {
    std::string all;
    char part[4096];
    pollfd ready{.fd = socket_, .events = POLLIN, .revents = 0};
    while (::poll(&ready, 1, 20000) > 0) {
      const auto count = ::recv(socket_, part, sizeof part, 0);
      if (count <= 0) return all;
      all.append(part, static_cast<std::size_t>(count));
    }
    return std::nullopt;
  }

 private:
  int socket_;
};

class HostileClients : public testing::Test {
 protected:
  explicit HostileClients(std::size_t help_bytes = 10, const std::string& token = "") {
    auto registry = std::make_shared<prometheus::Registry>();
    prometheus::BuildGauge()
        .Name("apples")
        .Help(std::string(help_bytes, 'h'))
        .Register(*registry)
        .Add({})
        .Set(42);
    endpoint.emplace(EndpointOptions{.token = token}, registry, [] { return HealthStatus{}; });
  }

  /// The answer to this text; its status is 0 where the connection was cut.
  struct Answer {
    int status = 0;
    std::string text;
  };
  Answer ask(std::string_view request) const {
    const RawClient client(endpoint->port());
    client.send(request);
    const auto text = client.receive();
    EXPECT_TRUE(text) << "the connection stays open after " << request.substr(0, 60);
    Answer answer{.text = text.value_or("")};
    if (answer.text.starts_with("HTTP/1.1 ")) answer.status = std::stoi(answer.text.substr(9, 3));
    return answer;
  }

  /// Scrapes as Prometheus does. @return the slowest answer's time; fails where one is missing.
  milliseconds scrape(int times) const {
    milliseconds slowest{0};
    for (int i = 0; i < times; ++i) {
      httplib::Client client("127.0.0.1", endpoint->port());
      client.set_connection_timeout(10);
      client.set_read_timeout(10);  // Prometheus' own patience
      const auto begin = steady_clock::now();
      const auto answer = client.Get("/metrics");
      slowest =
          std::max(slowest, std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin));
      EXPECT_TRUE(answer && answer->status == 200) << "scrape " << i;
      EXPECT_TRUE(answer && answer->body.find("apples 42\n") != std::string::npos);
    }
    return slowest;
  }

  std::optional<MetricsEndpoint> endpoint;
};

TEST_F(HostileClients, methods_that_are_not_for_reading_are_refused) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}) {
    for (const char* path : {"/metrics", "/healthz", "/"}) {
      const auto answer =
          ask(std::string(method) + " " + path + " HTTP/1.1\r\nContent-Length: 6\r\n\r\napples");
      EXPECT_EQ(answer.status, 405) << method << " " << path;
      EXPECT_NE(answer.text.find("Allow: GET, HEAD\r\n"), std::string::npos);
    }
  }
  EXPECT_EQ(ask("BREW /metrics HTTP/1.1\r\n\r\n").status, 400);
  const auto head = ask("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.text.find("apples"), std::string::npos);
}

TEST_F(HostileClients, other_paths_lead_nowhere) {
  for (const char* path :
       {"/", "/metrics/", "//metrics", "/metrics/../metrics", "/../../etc/passwd", "/%2e%2e/",
        "/metrics%00", "/healthz;", "/api/run", "/config.ini", "/Metrics", "metrics", "*"}) {
    EXPECT_EQ(ask(std::string("GET ") + path + " HTTP/1.1\r\n\r\n").status, 404) << path;
  }
  EXPECT_EQ(ask("GET /metrics?a=%zz&&&=%&b HTTP/1.1\r\n\r\n").status, 200);
}

TEST_F(HostileClients, nothing_is_read_without_end) {
  EXPECT_EQ(ask("GET /" + std::string(20000, 'x') + " HTTP/1.1\r\n\r\n").status, 414);
  EXPECT_EQ(ask("GET /metrics HTTP/1.1\r\nX: " + std::string(20000, 'x') + "\r\n\r\n").status, 400);
  std::string many = "GET /metrics HTTP/1.1\r\n";
  for (int i = 0; i < 10000; ++i) many += "A: b\r\n";
  EXPECT_EQ(ask(many + "\r\n").status, 400);
  EXPECT_NE(
      ask("POST /metrics HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + std::string(1000000, 'x'))
          .status,
      200);
  EXPECT_NE(ask(std::string(100000, '\0')).status, 200);
  scrape(1);
}

TEST_F(HostileClients, one_request_gets_the_metrics_once) {
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 2000; ++i) ranges += ",0-";
  for (const auto& range : {ranges, std::string("bytes=1-2")}) {
    const auto answer = ask("GET /metrics HTTP/1.1\r\nRange: " + range + "\r\n\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_LT(answer.text.size(), 1000U);
    EXPECT_NE(answer.text.find("apples 42\n"), std::string::npos);
  }
  EXPECT_EQ(
      ask("GET /metrics HTTP/1.1\r\nRange: bytes=" + std::string(4000, '9') + "-\r\n\r\n").status,
      416);
}

TEST_F(HostileClients, damaged_requests_do_no_harm) {
  const auto count = fuzz_bytes(
      "request",
      "GET /metrics?a=b HTTP/1.1\r\nHost: a:80\r\nAuthorization: Bearer x\r\nRange: bytes=0-5\r\n"
      "Accept-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
      "Content-Type: multipart/form-data; boundary=b\r\nConnection: keep-alive\r\n\r\n"
      "7\r\nabcdefg\r\n0\r\n\r\n",
      [](std::string& bytes) { bytes += "\r\n\r\n"; },  // ends, so that nothing waits
      [&](const std::string& bytes) { ask(bytes); });
  EXPECT_EQ(count.refused, 0);
  scrape(1);
}

TEST_F(HostileClients, clients_that_send_a_byte_now_and_then_keep_nobody_out) {
  std::vector<RawClient> slow;
  slow.reserve(200);
  for (int i = 0; i < 200; ++i) slow.emplace_back(endpoint->port());
  for (const auto& client : slow) client.send("GET /metrics HTTP/1.1\r\nX: ");
  std::jthread dripping([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (auto& client : slow) {
        if (client.send("x") == 1) continue;
        client = RawClient(endpoint->port());  // cut off: comes again
        client.send("GET /metrics HTTP/1.1\r\nX: ");
      }
      std::this_thread::sleep_for(milliseconds(200));
    }
  });
  const auto slowest = scrape(20);
  std::printf("the slowest of 20 scrapes took %lld ms\n", static_cast<long long>(slowest.count()));
}

TEST_F(HostileClients, who_never_ends_the_request_is_cut_off_though_it_goes_on_sending) {
  const RawClient client(endpoint->port());
  client.send("GET /metrics HTTP/1.1\r\nX: ");
  std::size_t sent = 0;
  for (; sent < 1000 && client.send("x") == 1; ++sent) {
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_LT(sent, 1000U);
  EXPECT_GT(sent, 10U) << "a slow line is no hostile client";
}

TEST_F(HostileClients, a_crowd_that_says_nothing_is_sent_away) {
  std::vector<RawClient> crowd;
  for (int i = 0; i < 150; ++i) crowd.emplace_back(endpoint->port());
  scrape(1);
  for (const auto& client : crowd) EXPECT_TRUE(client.receive()) << "still open";
}

/// 5 MB of metrics: more than the sockets' buffers take.
class HostileReaders : public HostileClients {
 protected:
  HostileReaders() : HostileClients(5 << 20) {}
};

TEST_F(HostileReaders, clients_that_never_read_keep_nobody_out) {
  std::vector<RawClient> deaf;
  for (int i = 0; i < 17; ++i) {  // one more than it has threads
    deaf.emplace_back(endpoint->port(), 4096);
    deaf.back().send("GET /metrics HTTP/1.1\r\n\r\n");
  }
  const auto slowest = scrape(3);
  std::printf("the slowest of 3 scrapes took %lld ms\n", static_cast<long long>(slowest.count()));
}

TEST_F(HostileReaders, the_end_waits_neither_for_them_nor_for_slow_ones) {
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {  // no crowd: one has time
    clients.emplace_back(endpoint->port(), 4096);
    clients.back().send(i % 2 == 0 ? "GET /metrics HTTP/1.1\r\n\r\n"
                                   : "GET /metrics HTTP/1.1\r\nX: ");
  }
  std::this_thread::sleep_for(milliseconds(200));  // they are being served
  const auto begin = steady_clock::now();
  endpoint.reset();
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(5));
}

class HostileStrangers : public HostileClients {
 protected:
  HostileStrangers() : HostileClients(10, "s3cret") {}
};

TEST_F(HostileStrangers, without_the_token_every_request_gets_the_same_refusal) {
  for (const char* request :
       {"GET /metrics HTTP/1.1\r\n\r\n", "POST /metrics HTTP/1.1\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\n\r\n", "GET /metrics?token=s3cret HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nAuthorization: Basic s3cret\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nAuthorization: Bearer s3cret \r\nX: y\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nAuthorization: Bearer s3cre\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nAuthorization: bearer S3CRET\r\n\r\n"}) {
    const auto answer = ask(request);
    if (std::string(request).find("s3cret \r\n") != std::string::npos) {
      EXPECT_EQ(answer.status, 200) << "blanks around a value are none of it";
      continue;
    }
    EXPECT_EQ(answer.status, 401) << request;
    EXPECT_EQ(answer.text.find("apples"), std::string::npos);
  }
}

}  // namespace
}  // namespace gondola
