#include "launch/watchdog.hpp"

#include <gtest/gtest.h>
#include <httplib.h>
#include <prometheus/registry.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "monitoring/metrics_endpoint.hpp"

namespace gondola {
namespace {

using std::chrono::milliseconds;

/// A rank as others see it: what /healthz says of its progress.
MetricsEndpoint endpoint_of(const CollectiveProgress& progress, int rank) {
  return MetricsEndpoint({}, std::make_shared<prometheus::Registry>(), [&progress, rank] {
    return HealthStatus{.rank = rank,
                        .step = progress.step,
                        .sequence = progress.sequence(),
                        .inside = progress.inside(),
                        .seconds_inside = progress.seconds_inside(),
                        .status = progress.phase.load()};
  });
}

TEST(Watchdogs, others_look_while_collectives_come_and_go) {
  CollectiveProgress progress;
  const auto endpoint = endpoint_of(progress, 0);
  Watchdog watchdog(progress, {.rank = 0, .size = 2, .timeout_seconds = 60});
  std::jthread scraper([&](const std::stop_token& stop) {
    std::uint64_t before = 0;
    while (!stop.stop_requested()) {
      httplib::Client client("127.0.0.1", endpoint.port());
      client.set_read_timeout(20);
      const auto answer = client.Get("/healthz");
      ASSERT_TRUE(answer);
      const std::uint64_t now = nlohmann::json::parse(answer->body).at("sequence");
      EXPECT_GE(now, before);
      before = now;
    }
  });
  std::jthread reader([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto records = progress.log().records();
      for (std::size_t i = 1; i < records.size(); ++i) {
        EXPECT_LT(records[i - 1].sequence, records[i].sequence);
      }
    }
  });
  const auto end = std::chrono::steady_clock::now() + milliseconds(700);
  std::uint64_t entered = 0;
  while (std::chrono::steady_clock::now() < end) {
    ++progress.step;
    for (const char* phase : {"inner", "all_reduce"}) {
      progress.phase = phase;
      const CollectiveScope scope(progress, "all_reduce_sum", 8);
      ++entered;
    }
    if (entered % 1000 == 0) {
      watchdog.may_ask({{}, {"127.0.0.1", endpoint.port(), true}}, "token");
      watchdog.log_to("run");
      progress.allow_extra_seconds(1);
    }
  }
  EXPECT_EQ(progress.sequence(), entered);
  EXPECT_FALSE(progress.inside());
}

/// Rank 0 is in a collective that rank 1 has not come to.
void wait_for_a_rank_that_does_not_come() {
  CollectiveProgress mine, theirs;
  const auto other = endpoint_of(theirs, 1);
  theirs.step = 6;
  mine.step = 7;
  Watchdog watchdog(mine, {.rank = 0, .size = 2, .timeout_seconds = 0.2});
  const CollectiveScope scope(mine, "all_reduce_sum", 8);
  for (int i = 0; i < 10000; ++i) {
    watchdog.may_ask({{}, {"127.0.0.1", other.port(), true}}, "");
    std::this_thread::sleep_for(milliseconds(5));
  }
}

TEST(WatchdogDeathTest, a_collective_that_does_not_end_ends_the_process_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(wait_for_a_rank_that_does_not_come(), testing::ExitedWithCode(76),
              "rank 1 is alive at step 6 but has come to collective 0 only");
}

}  // namespace
}  // namespace gondola
