#include "monitoring/live_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "monitoring/run_log.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

StepReport logged_step(std::int64_t number, double loss) {
  StepReport report;
  report.step = number;
  report.logged = true;
  report.loss = loss;
  report.images_per_second = 100.0 + static_cast<double>(number);
  return report;
}

class LiveRuns : public FolderTest {
 protected:
  RunInfo info() {
    return {.run = "first", .world_size = 2, .planned_steps = 50, .folder = folder()};
  }
  json state(const LiveRun& run) { return json::parse(run.json()); }
};

TEST_F(LiveRuns, before_the_first_step_nothing_looks_measured) {
  const auto said = state(LiveRun(info()));
  EXPECT_EQ(said["run"], "first");
  EXPECT_EQ(said["step"], 0);
  EXPECT_EQ(said["planned_steps"], 50);
  EXPECT_TRUE(said["last"]["loss"].is_null());
  EXPECT_TRUE(said["seconds_left"].is_null());
  EXPECT_TRUE(said["picture_step"].is_null());
  EXPECT_TRUE(said["train"]["step"].empty());
  EXPECT_TRUE(said["ranks"].empty());
  EXPECT_NEAR(said["now"].get<double>(), static_cast<double>(std::time(nullptr)), 5.0);
}

TEST_F(LiveRuns, a_name_that_is_not_utf_8_is_shown_as_far_as_it_is) {
  auto named = info();
  named.run = "y\xff";
  named.dataset = "images\xff.h5";
  const auto said = state(LiveRun(named));
  EXPECT_EQ(said["run"], "y\uFFFD");
  EXPECT_EQ(said["dataset"], "images\uFFFD.h5");
}

TEST_F(LiveRuns, steps_between_logged_ones_move_the_step_and_no_curve) {
  LiveRun run(info());
  run.on_step(logged_step(10, 4.5));
  StepReport between;
  between.step = 11;
  between.skipped = 1;
  run.on_step(between);
  const auto said = state(run);
  EXPECT_EQ(said["step"], 11);
  EXPECT_EQ(said["skipped"], 1);
  EXPECT_EQ(said["last"]["step"], 10);
  EXPECT_THAT(said["train"]["loss"], ElementsAre(4.5));
  EXPECT_THAT(said["train"]["images_per_second"], ElementsAre(110.0));
  EXPECT_TRUE(said["seconds_left"].is_number());
}

TEST_F(LiveRuns, a_rollback_takes_the_curves_back) {
  LiveRun run(info());
  for (const std::int64_t number : {10, 20, 30}) {
    run.on_step(logged_step(number, 4.0));
    run.on_eval({.step = number, .split = "test", .metrics = {{"loss", 5.0}}, .encoding = ""});
  }
  run.on_rollback({.step = 20, .from_step = 31, .reason = ""});
  auto said = state(run);
  EXPECT_EQ(said["step"], 20);
  EXPECT_THAT(said["train"]["step"], ElementsAre(10, 20));
  EXPECT_EQ(said["evaluations"].size(), 2);
  EXPECT_TRUE(said["seconds_left"].is_null());
  run.on_step(logged_step(30, 3.0));
  EXPECT_THAT(state(run)["train"]["loss"], ElementsAre(4.0, 4.0, 3.0));
}

TEST_F(LiveRuns, a_loss_that_is_not_finite_is_null) {
  LiveRun run(info());
  run.on_step(logged_step(1, std::nan("")));
  EXPECT_TRUE(state(run)["train"]["loss"][0].is_null());
}

TEST_F(LiveRuns, a_long_curve_is_thinned_evenly_and_ends_at_the_last_step) {
  LiveRun run(info());
  constexpr std::int64_t kSteps = 5003;
  for (std::int64_t i = 1; i <= kSteps; ++i) run.on_step(logged_step(i, static_cast<double>(i)));
  const auto steps = state(run)["train"]["step"].get<std::vector<std::int64_t>>();
  EXPECT_LE(steps.size(), LiveRun::kPoints + 1);
  EXPECT_GE(steps.size(), LiveRun::kPoints / 2 - 1);
  EXPECT_EQ(steps.front(), 1);
  EXPECT_EQ(steps.back(), kSteps);
  for (std::size_t i = 2; i + 1 < steps.size(); ++i) {
    ASSERT_EQ(steps[i] - steps[i - 1], steps[1] - steps[0]) << i;
  }
}

TEST_F(LiveRuns, a_resumed_run_begins_with_the_curves_it_had) {
  {
    RunLog log(folder(), 0);
    log.on_step(logged_step(10, 4.0));
    log.on_step(logged_step(20, 3.0));
    EvalReport evaluation;
    evaluation.step = 20;
    evaluation.split = "test";
    evaluation.metrics = {{"loss", 3.5}};
    log.on_eval(evaluation);
  }
  LiveRun run(info());
  EXPECT_EQ(state(run)["step"], 20);
  run.on_step(logged_step(30, 2.0));
  const auto said = state(run);
  EXPECT_THAT(said["train"]["step"], ElementsAre(10, 20, 30));
  EXPECT_THAT(said["train"]["loss"], ElementsAre(4.0, 3.0, 2.0));
  EXPECT_EQ(said["evaluations"][0]["metrics"]["loss"], 3.5);
}

TEST_F(LiveRuns, every_rank_has_its_phases_and_its_slowness) {
  LiveRun run(info());
  auto report = logged_step(1, 1.0);
  report.rank_phase_seconds.resize(2);
  report.rank_phase_seconds[0][static_cast<std::size_t>(Phase::kOuter)] = 0.5;
  report.rank_phase_seconds[1][static_cast<std::size_t>(Phase::kOuter)] = 2.0;
  run.on_step(report);
  report.rank_phase_seconds[1][static_cast<std::size_t>(Phase::kWait)] = 1.0;
  run.on_step(report);
  const auto ranks = state(run)["ranks"];
  ASSERT_EQ(ranks.size(), 2u);
  EXPECT_EQ(ranks[1]["phase_seconds"]["outer"], 2.0);
  EXPECT_EQ(ranks[1]["phase_seconds"]["wait"], 0.5);
  EXPECT_EQ(ranks[0]["slowness"], 1.0);
  EXPECT_EQ(ranks[1]["slowness"], 4.0);
}

TEST_F(LiveRuns, complete_checkpoints_and_the_newest_picture_are_those_on_disk) {
  for (const char* name : {"step-00000010", "step-00000020", "step-00000030.partial"}) {
    write(std::string("checkpoints/") + name + "/state.h5", "x");
  }
  write("checkpoints/step-00000010/COMPLETE", "x");
  write("checkpoints/step-00000020/COMPLETE", "x");
  write("checkpoints/step-00000040/state.h5", "x");  // not complete
  std::filesystem::create_directory_symlink("step-00000010", folder() / "checkpoints/best");
  for (const char* name : {"step-00000009.png", "step-00000010.png", "step-00000099.part"}) {
    write(std::string("samples/") + name, name);
  }
  const auto said = state(LiveRun(info()));
  ASSERT_EQ(said["checkpoints"].size(), 2u);
  EXPECT_EQ(said["checkpoints"][0]["step"], 10);
  EXPECT_EQ(said["checkpoints"][0]["best"], true);
  EXPECT_EQ(said["checkpoints"][1]["best"], false);
  EXPECT_NEAR(said["checkpoints"][1]["time"].get<double>(), static_cast<double>(std::time(nullptr)),
              60.0);
  EXPECT_EQ(said["picture_step"], 10);
  EXPECT_EQ(newest_picture(folder()).filename(), "step-00000010.png");
}

}  // namespace
}  // namespace gondola
