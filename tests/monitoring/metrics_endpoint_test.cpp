#include "monitoring/metrics_endpoint.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "configs/errors.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

std::shared_ptr<prometheus::Registry> one_counter(double value) {
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter().Name("apples_total").Register(*registry).Add({}).Increment(value);
  return registry;
}

HealthStatus health() {
  return {.rank = 3,
          .step = 120,
          .sequence = 991,
          .inside = true,
          .seconds_inside = 2.5,
          .status = "training"};
}

TEST(MetricsEndpoint, serves_the_registry_in_prometheus_text_format) {
  const MetricsEndpoint endpoint({}, one_counter(42), health);
  httplib::Client client("127.0.0.1", endpoint.port());
  const auto answer = client.Get("/metrics");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->get_header_value("Content-Type").rfind("text/plain; version=0.0.4", 0), 0u);
  EXPECT_NE(answer->body.find("# TYPE apples_total counter\napples_total 42\n"), std::string::npos)
      << answer->body;
}

TEST(MetricsEndpoint, healthz_is_what_the_rank_says_of_itself_at_that_moment) {
  std::atomic<std::int64_t> step{7};
  const MetricsEndpoint endpoint({}, one_counter(1), [&] {
    auto status = health();
    status.step = step;
    return status;
  });
  httplib::Client client("127.0.0.1", endpoint.port());
  step = 8;
  const auto answer = client.Get("/healthz");
  ASSERT_TRUE(answer);
  EXPECT_EQ(nlohmann::json::parse(answer->body),
            nlohmann::json::parse(R"({"rank":3,"step":8,"sequence":991,"inside":true,
                                      "seconds_inside":2.5,"status":"training"})"));
}

TEST(MetricsEndpoint, with_a_token_only_its_bearer_gets_an_answer) {
  const MetricsEndpoint endpoint({.token = "s3cret"}, one_counter(1), health);
  for (const char* path : {"/metrics", "/healthz", "/other"}) {
    httplib::Client client("127.0.0.1", endpoint.port());
    const auto without = client.Get(path);
    ASSERT_TRUE(without);
    EXPECT_EQ(without->status, 401) << path;
    EXPECT_EQ(without->body.find("apples"), std::string::npos);
    for (const char* wrong : {"s3cres", "s3cret2", "s3cre", ""}) {
      client.set_bearer_token_auth(wrong);
      EXPECT_EQ(client.Get(path)->status, 401) << path << " with " << wrong;
    }
    client.set_bearer_token_auth("s3cret");
    EXPECT_EQ(client.Get(path)->status, std::string(path) == "/other" ? 404 : 200) << path;
  }
}

TEST(MetricsEndpoint, a_taken_port_is_a_warning_and_no_endpoint) {
  const MetricsEndpoint first({}, one_counter(1), health);
  const auto second = try_start_endpoint({.port = first.port()}, one_counter(2), health);
  EXPECT_EQ(second.endpoint, nullptr);
  EXPECT_NE(second.warning.find(std::to_string(first.port())), std::string::npos) << second.warning;
  EXPECT_NE(second.warning.find("--monitoring.port"), std::string::npos) << second.warning;
  EXPECT_THROW(MetricsEndpoint({.port = first.port()}, one_counter(2), health), IoError);
}

TEST(MetricsEndpoint, an_address_of_another_machine_is_a_warning) {
  const auto attempt = try_start_endpoint({.bind = "192.0.2.1"}, one_counter(1), health);
  EXPECT_EQ(attempt.endpoint, nullptr);
  EXPECT_NE(attempt.warning.find("192.0.2.1"), std::string::npos) << attempt.warning;
}

TEST(MetricsEndpoint, listens_on_the_port_asked_for_and_frees_it) {
  int port = 0;
  {
    const MetricsEndpoint chosen({}, one_counter(1), health);
    port = chosen.port();
  }
  const auto again = try_start_endpoint({.port = port}, one_counter(5), health);
  ASSERT_NE(again.endpoint, nullptr) << again.warning;
  EXPECT_EQ(again.warning, "");
  httplib::Client client("127.0.0.1", port);
  EXPECT_NE(client.Get("/metrics")->body.find("apples_total 5"), std::string::npos);
}

TEST(MetricsEndpoint, listens_on_loopback_only_unless_told) {
  EXPECT_EQ(MetricsEndpoint({}, one_counter(1), health).host(), "127.0.0.1");
  const MetricsEndpoint everywhere({.bind = "0.0.0.0"}, one_counter(1), health);
  EXPECT_NE(everywhere.host(), "0.0.0.0");
  httplib::Client client("127.0.0.2", everywhere.port());
  EXPECT_TRUE(client.Get("/metrics"));
  const MetricsEndpoint loopback({}, one_counter(1), health);
  httplib::Client elsewhere("127.0.0.2", loopback.port());
  EXPECT_FALSE(elsewhere.Get("/metrics"));
}

TEST(MetricsEndpoint, silent_clients_neither_keep_others_out_nor_delay_the_end) {
  std::optional<MetricsEndpoint> endpoint;
  endpoint.emplace(EndpointOptions{}, one_counter(1), health);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(endpoint->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<int> silent;
  for (int i = 0; i < 2; ++i) {  // as many as the endpoint has threads
    silent.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(silent.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
  }
  httplib::Client client("127.0.0.1", endpoint->port());
  client.set_read_timeout(3);
  EXPECT_TRUE(client.Get("/healthz"));

  ::close(silent.back());
  silent.back() = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(silent.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  const auto start = std::chrono::steady_clock::now();
  endpoint.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  for (const int socket : silent) ::close(socket);
}

TEST(MetricsEndpoint, a_port_beyond_the_last_is_named_and_not_wrapped_around) {
  const auto attempt = try_start_endpoint({.port = 65536}, one_counter(1), health);
  EXPECT_EQ(attempt.endpoint, nullptr);
  EXPECT_NE(attempt.warning.find("ports end at 65535"), std::string::npos) << attempt.warning;
}

using EndpointFiles = FolderTest;

TEST_F(EndpointFiles, a_token_is_the_first_line_of_its_file) {
  write("token", "  abc def\t\r\nsecond line\n");
  EXPECT_EQ(read_token_file(folder() / "token"), "abc def");
  write("empty", "\nabc\n");
  EXPECT_THROW((void)read_token_file(folder() / "empty"), ConfigError);
  EXPECT_THROW((void)read_token_file(folder() / "none"), MissingInputError);
}

TEST_F(EndpointFiles, targets_are_in_the_format_of_file_sd) {
  write_targets_json(folder() / "first" / "", {{"127.0.0.1", 9101, 0}, {"::1", 9102, 1}});
  EXPECT_EQ(nlohmann::json::parse(read("first/prometheus/targets.json")), nlohmann::json::parse(R"([
    {"targets": ["127.0.0.1:9101"], "labels": {"run": "first", "rank": "0"}},
    {"targets": ["[::1]:9102"], "labels": {"run": "first", "rank": "1"}}])"));
}

TEST_F(EndpointFiles, a_folder_whose_name_is_not_utf_8_has_targets_too) {
  const auto run = folder() / "y\xff";
  write_targets_json(run, {{"127.0.0.1", 9101, 0}});
  const auto targets = nlohmann::json::parse(read("y\xff/prometheus/targets.json"));
  EXPECT_EQ(targets[0]["labels"]["run"], "y\uFFFD");
}

TEST_F(EndpointFiles, targets_of_a_run_that_is_over_say_how_it_ended) {
  write_targets_json(folder() / "first", {{"127.0.0.1", 9101, 0}}, "stopped");
  EXPECT_EQ(nlohmann::json::parse(read("first/prometheus/targets.json")), nlohmann::json::parse(R"([
    {"targets": ["127.0.0.1:9101"], "labels": {"run": "first", "rank": "0", "ended": "stopped"}}])"));
}

}  // namespace
}  // namespace gondola
