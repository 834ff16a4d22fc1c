#include "monitoring/report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "configs/errors.hpp"
#include "monitoring/image_grid.hpp"
#include "monitoring/metrics_endpoint.hpp"
#include "monitoring/run_log.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

class Report : public FolderTest {
 protected:
  /// Losses 100, 50, 25, 0.. at steps 10, 20, ...; each step 0.5 s: 0.1 data, 0.3 outer, the rest
  /// unnamed.
  void log_steps(std::initializer_list<double> losses) const {
    RunLog log(folder(), 0);
    std::int64_t step = 0;
    for (const double loss : losses) {
      StepReport report;
      report.step = step += 10;
      report.logged = true;
      report.loss = loss;
      report.images_per_second = 128;
      report.step_seconds = 0.5;
      report.phase_seconds[static_cast<std::size_t>(Phase::kData)] = 0.1;
      report.phase_seconds[static_cast<std::size_t>(Phase::kOuter)] = 0.3;
      log.on_step(report);
    }
  }
  void log_evaluation(std::int64_t step, double loss) const {
    RunLog(folder(), 1000000)
        .on_eval({.step = step,
                  .split = "test",
                  .images = 500,
                  .metrics = {{"loss", loss}, {"psnr", 20.25}},
                  .encoding = "mean image"});
  }
  [[nodiscard]] std::string page() const {
    EXPECT_EQ(write_report(folder()), folder() / "report.html");
    return read("report.html");
  }
  static bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
};

TEST_F(Report, holds_the_curves_points) {
  log_steps({100, 10, 1});
  log_evaluation(20, 10);
  const auto html = page();
  // Steps 10 to 30 over x = 64 to 1024; losses 1 to 100 logarithmically, a tenth inside y = 252
  // to 28.
  EXPECT_TRUE(contains(html, R"(<path class="curve c0" d="M64.0,33.2L544.0,160.0L1024.0,286.8"/>)"))
      << html;
  EXPECT_TRUE(contains(html, R"(cx="544.0" cy="160.0")"));
  EXPECT_TRUE(contains(html, "<title>evaluation: test, step 20: 10</title>"));
}

TEST_F(Report, phases_are_totals_over_all_steps) {
  log_steps({100, 10, 1});
  const auto html = page();
  EXPECT_TRUE(contains(html, "data <em>3 s, 20.0 %</em>")) << html;
  EXPECT_TRUE(contains(html, "outer <em>9 s, 60.0 %</em>"));
  EXPECT_TRUE(contains(html, "other <em>3 s, 20.0 %</em>"));
}

TEST_F(Report, evaluations_and_checkpoints_come_on_top_of_the_steps) {
  StepReport report{.step = 10, .logged = true, .loss = 1, .parts = {}, .step_seconds = 0.5};
  report.phase_seconds[static_cast<std::size_t>(Phase::kOuter)] = 0.3;
  report.phase_seconds[static_cast<std::size_t>(Phase::kEval)] = 0.25;
  report.phase_seconds[static_cast<std::size_t>(Phase::kCheckpoint)] = 0.25;
  RunLog(folder(), 0).on_step(report);
  const auto html = page();
  EXPECT_TRUE(contains(html, "outer <em>3 s, 30.0 %</em>")) << html;
  EXPECT_TRUE(contains(html, "eval <em>2.5 s, 25.0 %</em>"));
  EXPECT_TRUE(contains(html, "other <em>2 s, 20.0 %</em>"));
}

TEST_F(Report, counts_ranks_by_their_logs_not_by_their_endpoints) {
  log_steps({100});
  EXPECT_TRUE(contains(page(), "<p>A Gondola run, "));
  write("logs/rank-0.log", "");
  write_targets_json(folder(), {});
  EXPECT_TRUE(contains(page(), "A Gondola run on 1 rank,"));
  write("logs/rank-1.log", "");
  write_targets_json(folder(), {{"127.0.0.1", 9000, 0}});  // the other's port was taken
  EXPECT_TRUE(contains(page(), "A Gondola run on up to 2 ranks,"));
}

TEST_F(Report, marks_the_best_evaluation) {
  log_steps({100});
  log_evaluation(10, 12.5);
  log_evaluation(20, 9.75);
  log_evaluation(30, 11.5);
  const auto html = page();
  EXPECT_TRUE(contains(html, "<b>9.75</b><span>best test loss, at step 20</span>")) << html;
  EXPECT_TRUE(contains(html, "<tr class=\"best\"><td>20</td>"));
  EXPECT_TRUE(contains(html, "<td>12.5</td><td>20.25</td><td class=\"word\">mean image</td>"));
}

TEST_F(Report, holds_pictures_from_the_first_to_the_last_closer_at_the_beginning) {
  log_steps({100});
  SampleReport samples{.n = 1,
                       .channels = 1,
                       .height = 1,
                       .width = 1,
                       .originals = {0.0F},
                       .reconstructions = {1.0F}};
  ImageGrid grid(folder(), 0);
  for (samples.step = 100; samples.step <= 6000; samples.step += 100) {
    grid.on_samples(samples);
  }
  const auto html = page();
  std::string steps;
  for (auto at = html.find("<figcaption>Step "); at != std::string::npos;
       at = html.find("<figcaption>Step ", at + 1)) {
    steps += html.substr(at + 17, html.find(':', at) - at - 17) + " ";
  }
  EXPECT_EQ(steps, "100 300 800 2200 6000 ");  // each about 2.8 times the one before
  EXPECT_TRUE(contains(html, "src=\"data:image/png;base64,iVBORw0KGgo"));
}

TEST_F(Report, bytes_are_encoded_in_base64) {
  log_steps({100});
  write("samples/step-00000001.png", "any bytes: \xff\xfe");
  EXPECT_TRUE(contains(page(), "base64,YW55IGJ5dGVzOiD//g==\""));
}

TEST_F(Report, needs_no_other_file_and_shows_text_as_text) {
  log_steps({100, 50});
  write("config.ini", "[data]\npath = <b>&\"x\"\n");
  const auto html = page();
  EXPECT_TRUE(contains(html, "path = &lt;b&gt;&amp;&quot;x&quot;"));
  EXPECT_FALSE(contains(html, "<b>&"));
  for (const char* outside : {"http:", "https:", "<script", "<link", "@import", "url("}) {
    EXPECT_FALSE(contains(html, outside)) << outside;
  }
}

TEST_F(Report, a_run_in_progress_has_one_too) {
  const RunLog log(folder(), 0);
  EXPECT_TRUE(contains(page(), "Nothing measured yet"));
  log_steps({100});
  write("metrics.jsonl", read("metrics.jsonl") + R"({"kind":"train","st)");
  EXPECT_TRUE(contains(page(), "<b>10</b><span>steps"));
}

TEST_F(Report, is_of_the_folder_however_it_is_written) {
  log_steps({100});
  const auto name = folder().filename().string();
  write_report(folder() / "");
  EXPECT_TRUE(contains(read("report.html"), "<h1>" + name + "</h1>"));
}

TEST_F(Report, losses_that_are_not_finite_are_said) {
  log_steps({100, std::nan(""), 50});
  EXPECT_TRUE(contains(page(), "1 logged losses are not finite"));
}

TEST_F(Report, what_is_no_run_folder_is_named) {
  EXPECT_THROW((void)write_report(folder() / "none"), MissingInputError);
  EXPECT_THROW((void)write_report(folder()), MissingInputError);
  EXPECT_FALSE(std::filesystem::exists(folder() / "report.html"));
  write("metrics.jsonl", "not json\n");
  EXPECT_THROW((void)write_report(folder()), DataError);
}

}  // namespace
}  // namespace gondola
