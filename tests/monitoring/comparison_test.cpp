#include "monitoring/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_table.hpp"
#include "monitoring/run_log.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Comparison : public FolderTest {
 protected:
  /// A run of these held-out losses at steps 100, 200, ...
  void make_run(const std::string& name, const RunConfig& config,
                const std::vector<double>& losses) const {
    write(name + "/config.ini", to_ini(config));
    RunLog log(folder() / name, 0);
    std::int64_t step = 0;
    for (const double loss : losses) {
      log.on_eval({.step = step += 100,
                   .split = "test",
                   .images = 500,
                   .metrics = {{"loss", loss}, {"psnr", 20 + loss}},
                   .encoding = "mean image"});
    }
  }
  [[nodiscard]] static RunConfig config_of(std::uint64_t seed, Family family = Family::kGon) {
    auto config = default_config();
    config.run.seed = seed;
    config.run.folder = "somewhere-" + std::to_string(seed);
    config.model.family = family;
    return config;
  }
  std::string compare(const std::vector<std::string>& names) const {
    std::vector<std::filesystem::path> folders;
    for (const auto& name : names) folders.push_back(folder() / name);
    return compare_runs(folders, folder() / "page.html");
  }
  template <typename E>
  std::string complaint(const std::vector<std::string>& names) const {
    try {
      compare(names);
    } catch (const E& error) {
      return error.what();
    }
    return "no such error";
  }
};

TEST_F(Comparison, runs_that_differ_in_the_seed_alone_are_one_row) {
  make_run("gon/seed-0/run", config_of(0), {9, 4});
  make_run("gon/seed-1/run", config_of(1), {3, 5});
  make_run("gon/seed-2/run", config_of(2), {9, 9});
  make_run("vae/seed-0/run", config_of(0, Family::kVae), {8, 7.5});
  const auto table =
      compare({"gon/seed-0/run", "gon/seed-1/run", "vae/seed-0/run", "gon/seed-2/run"});
  // Last losses 4, 5, 9: mean 6, deviation sqrt(14 / 2); lowest 4, 3, 9: mean 16 / 3, sqrt(62 / 6).
  EXPECT_THAT(table,
              ::testing::ContainsRegex(
                  "gon +3 +test +500 +200 +6 ± 2\\.6 +26 ± 2\\.6 +5\\.3333 ± 3\\.2 +100 to 200\n"));
  EXPECT_THAT(table, ::testing::ContainsRegex(
                         "vae/seed-0 +1 +test +500 +200 +7\\.5 +27\\.5 +7\\.5 +200\n"));
  const auto page = read("page.html");
  EXPECT_THAT(page, HasSubstr("<td class=\"word\">model.family</td><td>gon</td><td>vae</td>"));
  EXPECT_THAT(page, Not(HasSubstr("run.seed")));
  EXPECT_THAT(page, HasSubstr("<title>gon/seed-1, step 100: 3</title>"));
  EXPECT_THAT(page,
              HasSubstr("<i class=\"c0\"></i>gon</span><span><i class=\"c1\"></i>vae/seed-0"));
}

TEST_F(Comparison, what_only_watches_a_run_makes_no_other_row) {
  auto watched = config_of(1);
  watched.monitoring.log_every = 7;
  make_run("a-0", config_of(0), {9});
  make_run("a-1", watched, {3});
  EXPECT_THAT(compare({"a-0", "a-1"}), ::testing::ContainsRegex("\na +2 "));
}

TEST_F(Comparison, a_metric_that_a_run_lacks_stays_empty) {
  make_run("a", config_of(0), {9});
  make_run("b", config_of(0, Family::kVae), {});
  RunLog(folder() / "b", 0)
      .on_eval(
          {.step = 100, .split = "test", .images = 500, .metrics = {{"loss", 1}}, .encoding = ""});
  EXPECT_THAT(compare({"a", "b"}), ::testing::ContainsRegex("\nb +1 +test +500 +100 +1 +1 +100\n"));
}

TEST_F(Comparison, a_run_without_a_finite_loss_has_none_that_is_lowest) {
  make_run("a", config_of(0), {9});
  make_run("b", config_of(0, Family::kVae), {std::nan(""), std::nan("")});
  EXPECT_THAT(compare({"a", "b"}), HasSubstr("\nb    1      test   500     200 "));
}

TEST_F(Comparison, what_cannot_be_compared_is_refused) {
  make_run("a", config_of(0), {9});
  make_run("again", config_of(0), {9});
  make_run("new", config_of(1), {});
  write("new/metrics.jsonl", "");
  write("other/file", "");
  EXPECT_THAT(complaint<ConfigError>({"a"}), HasSubstr("two runs at least"));
  EXPECT_THAT(complaint<ConfigError>({"a", "a/"}), HasSubstr("named twice"));
  EXPECT_THAT(complaint<ConfigError>({"a", "again"}), HasSubstr("the same seed 0"));
  EXPECT_THAT(complaint<DataError>({"a", "new"}), HasSubstr("no evaluation yet"));
  EXPECT_THAT(complaint<MissingInputError>({"a", "none"}), HasSubstr("no run folder"));
  EXPECT_THAT(complaint<MissingInputError>({"a", "other"}), HasSubstr("no config.ini"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "page.html"));
}

}  // namespace
}  // namespace gondola
