#include "monitoring/run_log.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "configs/errors.hpp"
#include "monitoring/run_history.hpp"
#include "tests/monitoring/file_size_limit.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using RunLogFiles = FolderTest;

StepReport logged_step(std::int64_t number) {
  StepReport report;
  report.step = number;
  report.epoch = number / 100;
  report.logged = true;
  report.loss = 100.0 / 3.0 + static_cast<double>(number);
  report.inner_loss = 1e-17 / 3.0;
  report.latent_norm = 0.1;
  report.gradient_norm = 12345.678901234567;
  report.learning_rate = 1e-4;
  report.images_per_second = 2000.0;
  report.step_seconds = 0.032;
  for (std::size_t phase = 0; phase < report.phase_seconds.size(); ++phase) {
    report.phase_seconds[phase] = 0.001 / static_cast<double>(phase + 3);
  }
  return report;
}

EvalReport evaluation(std::int64_t step) {
  return {.step = step,
          .epoch = 1,
          .split = "test",
          .images = 500,
          .metrics = {{"loss", 9.1}, {"psnr", 20.7}},
          .encoding = "mean image, running averages"};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST_F(RunLogFiles, rows_have_exactly_the_keys_of_the_format) {
  RunLog log(folder(), 0);
  log.on_step(logged_step(10));
  log.on_eval(evaluation(10));
  const auto lines = lines_of(read("metrics.jsonl"));
  ASSERT_EQ(lines.size(), 2u);
  std::string keys;
  const auto train = nlohmann::ordered_json::parse(lines[0]);
  for (const auto& [key, value] : train.items()) keys += key + " ";
  EXPECT_EQ(keys,
            "kind step epoch loss inner_loss latent_norm gradient_norm learning_rate "
            "images_per_second step_seconds phase_seconds ");
  keys.clear();
  for (const auto& [key, value] : train["phase_seconds"].items()) keys += key + " ";
  EXPECT_EQ(keys, "data inner outer wait all_reduce optimizer checkpoint eval ");
  EXPECT_EQ(train["kind"], "train");
  EXPECT_EQ(lines[1], R"({"kind":"eval","step":10,"epoch":1,"split":"test","images":500,)"
                      R"("encoding":"mean image, running averages","loss":9.1,"psnr":20.7})");
}

TEST_F(RunLogFiles, every_number_is_read_back_bit_for_bit) {
  const auto written = logged_step(250);
  RunLog(folder(), 0).on_step(written);
  const auto history = read_run_history(folder() / "metrics.jsonl");
  ASSERT_EQ(history.steps.size(), 1u);
  const auto& back = history.steps[0];
  EXPECT_EQ(back.step, 250);
  EXPECT_EQ(back.epoch, 2);
  EXPECT_EQ(back.loss, written.loss);
  EXPECT_EQ(back.inner_loss, written.inner_loss);
  EXPECT_EQ(back.latent_norm, written.latent_norm);
  EXPECT_EQ(back.gradient_norm, written.gradient_norm);
  EXPECT_EQ(back.learning_rate, written.learning_rate);
  EXPECT_EQ(back.images_per_second, written.images_per_second);
  EXPECT_EQ(back.step_seconds, written.step_seconds);
  EXPECT_EQ(back.phase_seconds, written.phase_seconds);
}

TEST_F(RunLogFiles, evaluations_are_read_back) {
  RunLog(folder(), 0).on_eval(evaluation(30));
  const auto history = read_run_history(folder() / "metrics.jsonl");
  ASSERT_EQ(history.evaluations.size(), 1u);
  EXPECT_EQ(history.evaluations[0].step, 30);
  EXPECT_EQ(history.evaluations[0].images, 500);
  EXPECT_EQ(history.evaluations[0].split, "test");
  EXPECT_EQ(history.evaluations[0].encoding, "mean image, running averages");
  EXPECT_EQ(history.evaluations[0].metrics, evaluation(30).metrics);
}

TEST_F(RunLogFiles, a_rollback_takes_the_rows_behind_the_checkpoint_along_and_leaves_one) {
  RunLog log(folder(), 0);
  for (const std::int64_t number : {10, 20, 30, 40}) log.on_step(logged_step(number));
  log.on_rollback({.step = 20, .from_step = 41, .reason = "the loss is not finite", .images = 84});
  log.on_step(logged_step(30));
  const auto lines = lines_of(read("metrics.jsonl"));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[2], R"({"kind":"rollback","step":20,"from_step":41,"images":84,)"
                      R"("reason":"the loss is not finite"})");
  const auto history = read_run_history(folder() / "metrics.jsonl");
  ASSERT_EQ(history.steps.size(), 3u);
  EXPECT_EQ(history.steps[1].step, 20);
  EXPECT_EQ(history.steps[2].step, 30);
  const auto table = lines_of(read("metrics.csv"));
  ASSERT_EQ(table.size(), 5u);
  EXPECT_TRUE(table[3].starts_with("rollback,20,,,84,,")) << table[3];
  EXPECT_TRUE(table[4].starts_with("train,30,")) << table[4];

  // A kill, and a resume from the checkpoint that the rollback went to: its batches come again.
  RunLog(folder(), 20).flush();
  EXPECT_EQ(lines_of(read("metrics.jsonl")), (std::vector<std::string>{lines[0], lines[1]}));
}

TEST_F(RunLogFiles, steps_that_were_not_logged_leave_no_row) {
  RunLog log(folder(), 0);
  auto report = logged_step(1);
  report.logged = false;
  log.on_step(report);
  EXPECT_EQ(read("metrics.jsonl"), "");
}

TEST_F(RunLogFiles, what_is_not_finite_is_null) {
  RunLog log(folder(), 0);
  auto report = logged_step(1);
  report.loss = std::numeric_limits<double>::quiet_NaN();
  report.gradient_norm = std::numeric_limits<double>::infinity();
  log.on_step(report);
  const auto row = nlohmann::json::parse(lines_of(read("metrics.jsonl")).at(0));
  EXPECT_TRUE(row["loss"].is_null());
  EXPECT_TRUE(row["gradient_norm"].is_null());
  const auto history = read_run_history(folder() / "metrics.jsonl");
  EXPECT_TRUE(std::isnan(history.steps.at(0).loss));
}

TEST_F(RunLogFiles, the_table_has_a_header_once_and_a_value_or_nothing_in_each_column) {
  {
    RunLog log(folder(), 0);
    log.on_step(logged_step(10));
    log.on_eval(evaluation(10));
  }
  auto classified = logged_step(20);
  classified.parts["accuracy"] = 0.75;
  RunLog(folder(), 10).on_step(classified);
  const auto lines = lines_of(read("metrics.csv"));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0],
            "kind,step,epoch,split,images,loss,psnr,ssim,inner_loss,latent_norm,gradient_norm,"
            "learning_rate,images_per_second,step_seconds,data_seconds,inner_seconds,outer_seconds,"
            "wait_seconds,all_reduce_seconds,optimizer_seconds,checkpoint_seconds,eval_seconds,"
            "cross_entropy,divergence,bits_per_dimension,accuracy,reconstruction_loss,"
            "coordinate_spread,from_step");
  EXPECT_TRUE(lines[1].starts_with("train,10,0,,,43.333333333333336,,,3.33")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("eval,10,1,test,500,9.1,20.7,,,")) << lines[2];
  EXPECT_TRUE(lines[3].starts_with("train,20,")) << lines[3];
  EXPECT_TRUE(lines[3].ends_with(",,,,0.75,,,")) << lines[3];
  for (const auto& line : lines) EXPECT_EQ(std::count(line.begin(), line.end(), ','), 28) << line;
}

TEST_F(RunLogFiles, on_resume_rows_beyond_the_checkpoint_are_dropped) {
  {
    RunLog log(folder(), 0);
    for (const std::int64_t number : {10, 20, 30, 40}) log.on_step(logged_step(number));
    log.on_eval(evaluation(40));
  }
  const auto before = lines_of(read("metrics.jsonl"));
  {
    RunLog log(folder(), 25);
    log.on_step(logged_step(30));
  }
  const auto after = lines_of(read("metrics.jsonl"));
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(after[0], before[0]);
  EXPECT_EQ(after[1], before[1]);
  EXPECT_EQ(after[2], before[2]);
  EXPECT_EQ(lines_of(read("metrics.csv")).size(), 4u);
}

TEST_F(RunLogFiles, the_row_of_the_checkpoints_own_step_stays) {
  RunLog(folder(), 0).on_step(logged_step(20));
  const RunLog resumed(folder(), 20);
  EXPECT_EQ(lines_of(read("metrics.jsonl")).size(), 1u);
}

TEST_F(RunLogFiles, a_row_half_written_by_a_killed_run_is_dropped_on_resume) {
  RunLog(folder(), 0).on_step(logged_step(10));
  const auto whole = read("metrics.jsonl");
  write("metrics.jsonl", whole + R"({"kind":"train","step":11,"epo)");
  RunLog(folder(), 50).on_step(logged_step(12));
  const auto lines = lines_of(read("metrics.jsonl"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0] + "\n", whole);
  EXPECT_EQ(nlohmann::json::parse(lines[1])["step"], 12);
}

TEST_F(RunLogFiles, a_full_disk_is_an_io_error_that_names_the_file_and_leaves_whole_rows) {
  RunLog log(folder(), 0);
  log.on_step(logged_step(1));
  const auto before = read("metrics.jsonl");
  const FileSizeLimit limit(before.size() + 100);
  try {
    log.on_step(logged_step(2));
    FAIL() << "wrote beyond the limit";
  } catch (const IoError& error) {
    EXPECT_EQ(error.code(), ExitCode::kIoFailed);
    EXPECT_NE(std::string(error.what()).find("metrics.jsonl"), std::string::npos) << error.what();
  }
  EXPECT_EQ(read("metrics.jsonl"), before);
}

TEST_F(RunLogFiles, a_folder_that_is_not_there_is_an_io_error) {
  EXPECT_THROW(RunLog(folder() / "none", 0), IoError);
}

TEST_F(RunLogFiles, history_leaves_out_a_half_written_last_row_and_names_a_damaged_line) {
  RunLog(folder(), 0).on_step(logged_step(10));
  const auto whole = read("metrics.jsonl");
  write("metrics.jsonl", whole + R"({"kind":"tr)");
  EXPECT_EQ(read_run_history(folder() / "metrics.jsonl").steps.size(), 1u);
  for (const std::string damaged :
       {"{\"kind\":\"tr\n", "{\"kind\":\"train\",\"step\":\"x\"}\n", "[]\n"}) {
    write("metrics.jsonl", whole + damaged + whole);
    try {
      (void)read_run_history(folder() / "metrics.jsonl");
      FAIL() << "accepted " << damaged;
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find("line 2 "), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace gondola
