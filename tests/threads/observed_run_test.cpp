#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "monitoring/live_run.hpp"
#include "monitoring/metrics_endpoint.hpp"
#include "monitoring/metrics_observer.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using ObservedRun = FolderTest;

TEST_F(ObservedRun, is_scraped_and_looked_at_while_it_trains) {
  const RunInfo info{.run = "first", .world_size = 2, .planned_steps = 5000, .folder = folder()};
  const auto observer = std::make_shared<MetricsObserver>(info);
  const auto live = std::make_shared<LiveRun>(info);
  const MetricsEndpoint endpoint(
      {}, observer, [] { return HealthStatus{}; }, live);
  const auto ask_again_and_again = [&](const char* path, const char* wanted) {
    return std::jthread([&endpoint, path, wanted](const std::stop_token& stop) {
      do {
        httplib::Client client("127.0.0.1", endpoint.port());
        client.set_read_timeout(20);
        const auto answer = client.Get(path);
        ASSERT_TRUE(answer) << path;
        EXPECT_NE(answer->body.find(wanted), std::string::npos) << answer->body;
      } while (!stop.stop_requested());
    });
  };
  {
    const auto scraper = ask_again_and_again("/metrics", "gondola_steps_total");
    const auto page = ask_again_and_again("/api/run", "\"planned_steps\":5000");
    StepReport report;
    report.logged = true;
    report.rank_phase_seconds.resize(2);
    for (report.step = 1; report.step <= 3000; ++report.step) {
      report.loss = 1.0 / static_cast<double>(report.step);
      for (StepObserver* each :
           {static_cast<StepObserver*>(observer.get()), static_cast<StepObserver*>(live.get())}) {
        each->on_step(report);
        if (report.step % 10 == 0) {
          each->on_eval(
              {.step = report.step, .split = "test", .metrics = {{"loss", 5.0}}, .encoding = ""});
        }
        if (report.step % 100 == 0) {
          each->on_rollback(
              {.step = report.step - 5, .from_step = report.step, .reason = "a test"});
        }
      }
    }
  }
  EXPECT_EQ(nlohmann::json::parse(live->json()).at("step"), 2995);
}

}  // namespace
}  // namespace gondola
