#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "configs/option_table.hpp"
#include "configs/validate_config.hpp"

namespace gondola {
namespace {

TEST(ResumeConflicts, exactly_these_options_may_differ) {
  const std::set<std::string> free_sections = {"checkpoint", "evaluation", "monitoring", "bench"};
  const std::set<std::string> free_options = {"run.folder",
                                              "run.resume",
                                              "data.ledger",
                                              "data.cache",
                                              "data.stage",
                                              "data.reader_threads",
                                              "data.prefetch_batches",
                                              "trainer.steps",
                                              "trainer.epochs",
                                              "trainer.on_nonfinite",
                                              "trainer.skip_budget",
                                              "trainer.outlier_factor",
                                              "trainer.cuda_graph",
                                              "trainer.tile_bytes",
                                              "coordinates.spread_every",
                                              "parallel.threads",
                                              "parallel.coordinate_ranks",
                                              "parallel.overlap",
                                              "parallel.bucket_bytes",
                                              "parallel.expect_world",
                                              "parallel.timeout_seconds",
                                              "parallel.check_every"};
  for (const auto& option : option_table()) {
    const bool free =
        free_sections.contains(option.section) || free_options.contains(option.name());
    EXPECT_EQ(option.on_resume == OnResume::kMayDiffer, free) << option.name();
  }
}

TEST(ResumeConflicts, who_leaves_the_matrix_product_open_takes_that_of_the_run) {
  auto saved = default_config(), now = default_config();
  saved.trainer.matmul = Matmul::kOneDnn;
  EXPECT_TRUE(resume_conflicts(saved, now).empty());
  now.trainer.matmul = Matmul::kAten;
  EXPECT_EQ(resume_conflicts(saved, now).size(), 1u);
}

TEST(ResumeConflicts, a_run_that_goes_on_for_longer_elsewhere_has_none) {
  auto saved = default_config(), now = default_config();
  now.trainer.steps = 99;
  now.run.folder = "elsewhere";
  now.run.resume = "auto";
  now.parallel.threads = 7;
  now.evaluation.statistics = EvaluationStatistics::kBatch;
  EXPECT_THAT(resume_conflicts(saved, now), testing::IsEmpty());
}

TEST(ResumeConflicts, every_other_difference_is_named_with_both_values) {
  auto saved = default_config(), now = default_config();
  now.latent.size = 8;
  now.optimizer.learning_rate = 2e-4;
  now.run.seed = 3;
  const auto conflicts = resume_conflicts(saved, now);
  ASSERT_EQ(conflicts.size(), 3u);
  EXPECT_THAT(conflicts[0],
              testing::AllOf(testing::HasSubstr("run.seed"), testing::HasSubstr("\"3\""),
                             testing::HasSubstr("\"0\"")));
  EXPECT_THAT(conflicts[1],
              testing::AllOf(testing::HasSubstr("latent.size"), testing::HasSubstr("\"8\""),
                             testing::HasSubstr("\"32\"")));
  EXPECT_THAT(conflicts[2], testing::HasSubstr("optimizer.learning_rate"));
}

}  // namespace
}  // namespace gondola
