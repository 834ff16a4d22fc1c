#include "monitoring/metrics_observer.hpp"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <ctime>
#include <filesystem>
#include <map>
#include <sstream>

namespace gondola {
namespace {

/// What a scrape gives, by the name with its labels.
std::map<std::string, double> scrape(const MetricsObserver& observer) {
  std::map<std::string, double> values;
  std::istringstream text(prometheus::TextSerializer().Serialize(observer.Collect()));
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with('#')) continue;
    const auto space = line.rfind(' ');
    values[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return values;
}

MetricsObserver new_observer() {
  return MetricsObserver(
      {.run = "runs-1", .decoder = "siren", .dataset = "digits", .device = "cpu", .world_size = 4});
}

StepReport step(std::int64_t number) {
  StepReport report;
  report.step = number;
  report.epoch = 2;
  report.images = 16;
  report.bytes_reduced = 1000;
  return report;
}

StepReport logged_step(std::int64_t number) {
  auto report = step(number);
  report.logged = true;
  report.loss = 12.5;
  report.inner_loss = 80.25;
  report.latent_norm = 0.75;
  report.gradient_norm = 3.5;
  report.learning_rate = 1e-4;
  report.images_per_second = 2000;
  report.step_seconds = 0.03;
  for (std::size_t phase = 0; phase < report.phase_seconds.size(); ++phase) {
    report.phase_seconds[phase] = 0.25 * static_cast<double>(phase + 1);
  }
  return report;
}

TEST(MetricsObserver, the_share_of_the_matmul_rate_is_of_one_rank) {
  MetricsObserver observer({.world_size = 4, .flop_per_image = 3e6, .matmul_rate = 5e9});
  observer.on_step(logged_step(10));  // 2000 images a second over all ranks
  auto values = scrape(observer);
  EXPECT_DOUBLE_EQ(values["gondola_model_flops_per_second"], 6e9);
  EXPECT_DOUBLE_EQ(values["gondola_model_flops_utilization_ratio"], 6e9 / (4 * 5e9));
}

TEST(MetricsObserver, counters_count_every_step_and_means_stand_for_all_their_steps) {
  auto observer = new_observer();
  for (const auto& report :
       {step(11), step(12), step(13), logged_step(14), step(15), logged_step(16), step(17)}) {
    observer.on_step(report);
  }
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_steps_total"], 7);
  EXPECT_EQ(values["gondola_images_total"], 7 * 16);
  EXPECT_EQ(values["gondola_reduced_bytes_total"], 7000);
  EXPECT_EQ(values["gondola_nonfinite_steps_total"], 0);
  EXPECT_EQ(values["gondola_step"], 17);
  EXPECT_EQ(values["gondola_epoch"], 2);
  // 4 steps until step 14 and 2 until step 16; step 17 waits for its mean.
  EXPECT_EQ(values["gondola_phase_seconds_total{phase=\"data\"}"], 6 * 0.25);
  EXPECT_EQ(values["gondola_phase_seconds_total{phase=\"all_reduce\"}"], 6 * 1.25);
  EXPECT_EQ(values["gondola_phase_seconds_total{phase=\"eval\"}"], 6 * 2.0);
  EXPECT_EQ(values["gondola_step_duration_seconds_count"], 6);
  EXPECT_NEAR(values["gondola_step_duration_seconds_sum"], 6 * 0.03, 1e-12);
  EXPECT_EQ(values["gondola_step_duration_seconds_bucket{le=\"0.02\"}"], 0);
  EXPECT_EQ(values["gondola_step_duration_seconds_bucket{le=\"0.05\"}"], 6);
}

TEST(MetricsObserver, gauges_show_the_last_logged_step) {
  auto observer = new_observer();
  EXPECT_TRUE(std::isnan(scrape(observer)["gondola_loss{split=\"train\"}"]));
  observer.on_step(logged_step(10));
  observer.on_step(step(11));
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_loss{split=\"train\"}"], 12.5);
  EXPECT_EQ(values["gondola_inner_loss"], 80.25);
  EXPECT_EQ(values["gondola_gradient_norm"], 3.5);
  EXPECT_EQ(values["gondola_latent_norm"], 0.75);
  EXPECT_EQ(values["gondola_learning_rate"], 1e-4);
  EXPECT_EQ(values["gondola_images_per_second"], 2000);
}

TEST(MetricsObserver, rollbacks_and_mended_replicas_are_counted) {
  auto observer = new_observer();
  EXPECT_EQ(scrape(observer)["gondola_rollbacks_total"], 0);
  EXPECT_EQ(scrape(observer)["gondola_replica_mends_total"], 0);
  observer.on_rollback({.step = 10, .from_step = 14, .reason = ""});
  observer.on_rollback({.step = 10, .from_step = 17, .reason = ""});
  observer.on_mend({.step = 20, .ranks = {1}, .drift = 1e-9});
  EXPECT_EQ(scrape(observer)["gondola_rollbacks_total"], 2);
  EXPECT_EQ(scrape(observer)["gondola_replica_mends_total"], 1);
}

TEST(MetricsObserver, skipped_steps_are_counted_as_not_finite) {
  auto observer = new_observer();
  auto skipped = step(1);
  skipped.skipped = 1;
  observer.on_step(skipped);
  observer.on_step(step(2));
  EXPECT_EQ(scrape(observer)["gondola_nonfinite_steps_total"], 1);
}

TEST(MetricsObserver, what_only_some_families_report_is_labelled_by_its_name) {
  auto observer = new_observer();
  auto report = logged_step(1);
  report.parts = {{"accuracy", 0.75}, {"divergence", 2.5}};
  observer.on_step(report);
  report.parts = {{"accuracy", 0.5}};
  observer.on_step(report);
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_part{part=\"accuracy\"}"], 0.5);
  EXPECT_EQ(values["gondola_part{part=\"divergence\"}"], 2.5);
}

TEST(MetricsObserver, rank_0_says_how_slow_each_rank_is_and_others_do_not) {
  auto report = logged_step(1);
  report.rank_phase_seconds.assign(4, report.phase_seconds);
  report.rank_phase_seconds[2][static_cast<std::size_t>(Phase::kInner)] += 3.0;  // 1.5 were usual
  for (const int rank : {0, 1}) {
    MetricsObserver observer({.run = "runs-1", .world_size = 4, .rank = rank});
    observer.on_step(report);
    auto values = scrape(observer);
    EXPECT_EQ(values.contains("gondola_rank_slowness_ratio{rank=\"0\"}"), rank == 0);
    if (rank != 0) continue;
    EXPECT_EQ(values["gondola_rank_slowness_ratio{rank=\"1\"}"], 1.0);
    EXPECT_EQ(values["gondola_rank_slowness_ratio{rank=\"2\"}"], 3.0);
  }
}

TEST(MetricsObserver, rank_0_says_how_much_room_the_run_has) {
  const auto space = std::filesystem::space(".");
  MetricsObserver observer({.folder = "."});
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_run_folder_file_system_bytes"], static_cast<double>(space.capacity));
  EXPECT_GT(values["gondola_run_folder_available_bytes"], 0.0);
  EXPECT_LE(values["gondola_run_folder_available_bytes"], static_cast<double>(space.capacity));
  MetricsObserver other({.rank = 1, .folder = "."});
  EXPECT_FALSE(scrape(other).contains("gondola_run_folder_available_bytes"));
}

TEST(MetricsObserver, says_since_when_it_runs_and_how_far_it_will) {
  MetricsObserver observer({.planned_steps = 300});
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_planned_steps"], 300);
  EXPECT_NEAR(values["gondola_start_time_seconds"], static_cast<double>(std::time(nullptr)), 5.0);
}

TEST(MetricsObserver, evaluations_are_labelled_by_split_and_metric) {
  auto observer = new_observer();
  EvalReport report;
  report.split = "test";
  report.metrics = {{"loss", 9.5}, {"psnr", 21.0}};
  observer.on_eval(report);
  report.metrics["psnr"] = 22.0;
  observer.on_eval(report);
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_eval{metric=\"loss\",split=\"test\"}"], 9.5);
  EXPECT_EQ(values["gondola_eval{metric=\"psnr\",split=\"test\"}"], 22.0);
  EXPECT_EQ(values["gondola_loss{split=\"test\"}"], 9.5);
}

TEST(MetricsObserver, an_evaluation_of_the_training_split_leaves_the_training_loss) {
  auto observer = new_observer();
  observer.on_step(logged_step(1));
  EvalReport report;
  report.split = "train";
  report.metrics = {{"loss", 9.5}};
  observer.on_eval(report);
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_loss{split=\"train\"}"], 12.5);
  EXPECT_EQ(values["gondola_eval{metric=\"loss\",split=\"train\"}"], 9.5);
}

TEST(MetricsObserver, tells_how_long_a_checkpoint_took_and_how_many_failed) {
  auto observer = new_observer();
  EXPECT_TRUE(std::isnan(scrape(observer)["gondola_last_checkpoint_duration_seconds"]));
  EXPECT_EQ(scrape(observer)["gondola_checkpoint_failures_total"], 0);
  observer.on_checkpoint({.step = 5, .seconds = 1.5});
  observer.on_checkpoint_failure({.step = 10, .reason = "the disk is full"});
  observer.on_checkpoint_failure({.step = 15, .reason = "the disk is full"});
  auto values = scrape(observer);
  EXPECT_EQ(values["gondola_last_checkpoint_duration_seconds"], 1.5);
  EXPECT_EQ(values["gondola_checkpoint_failures_total"], 2);
}

TEST(MetricsObserver, says_what_runs_how_big_it_is_and_when_it_was_saved) {
  auto observer = new_observer();
  auto values = scrape(observer);
  EXPECT_EQ(
      values["gondola_run_info{dataset=\"digits\",decoder=\"siren\",device=\"cpu\",run=\"runs-1\","
             "world_size=\"4\"}"],
      1);
  int builds = 0;
  for (const auto& [name, value] : values)
    builds += name.starts_with("gondola_build_info{revision=") ? 1 : 0;
  EXPECT_EQ(builds, 1);
  EXPECT_GT(values["gondola_process_resident_memory_bytes"], 1e6);
  EXPECT_LT(values["gondola_process_resident_memory_bytes"], 1e12);
  EXPECT_TRUE(std::isnan(values["gondola_last_checkpoint_timestamp_seconds"]));
  observer.on_checkpoint({});
  EXPECT_NEAR(scrape(observer)["gondola_last_checkpoint_timestamp_seconds"],
              static_cast<double>(std::time(nullptr)), 5.0);
}

TEST(MetricsObserver, memory_is_measured_at_the_scrape) {
  const auto observer = new_observer();
  const double before = scrape(observer)["gondola_process_resident_memory_bytes"];
  const std::vector<char> block(64 << 20, 'x');
  EXPECT_GT(scrape(observer)["gondola_process_resident_memory_bytes"], before + (48 << 20));
  EXPECT_EQ(block.back(), 'x');
}

}  // namespace
}  // namespace gondola
