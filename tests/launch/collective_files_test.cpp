#include "launch/collective_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "configs/errors.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CollectiveFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder =
        fs::temp_directory_path() / ("gondola-collectives-" + std::to_string(::getpid()) + "-" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder / "logs");
  }
  void TearDown() override { fs::remove_all(folder); }

  /// A rank that entered collectives 1..last and left all but perhaps the last.
  void write(int rank, std::uint64_t last, bool left, RankEnd end = RankEnd::kTimeout) const {
    CollectiveLog log;
    for (std::uint64_t i = 1; i <= last; ++i) {
      log.enter(i, i % 2 == 0 ? "barrier" : "all_reduce_sum", i % 2 == 0 ? 0 : 4096,
                static_cast<std::int64_t>(i / 2), "inner");
      if (i < last || left) log.leave(i);
    }
    write_collectives(folder, rank, 4, log, end);
  }

  fs::path folder;
};

TEST_F(CollectiveFiles, a_rank_that_is_behind_is_named_with_its_last_collective) {
  for (const int rank : {0, 1, 3}) write(rank, 801, /*left=*/false);
  write(2, 800, /*left=*/true);
  EXPECT_EQ(collective_verdict(folder),
            "collective 801 (all_reduce_sum of 4096 bytes, step 400, phase inner) was entered by "
            "ranks 0, 1, 3; rank 2 was missing: its last was collective 800 (barrier, step 400, "
            "phase inner)");
}

TEST_F(CollectiveFiles, who_waits_because_of_others_is_not_blamed) {
  write(0, 802, false);
  write(1, 801, false);
  write(2, 802, false);  // rank 3 was stopped in 801, and 802 waits for rank 1
  EXPECT_THAT(collective_verdict(folder),
              HasSubstr("collective 801 (all_reduce_sum of 4096 bytes, step 400, phase inner) was "
                        "entered by ranks 0, 1, 2; rank 3 was missing and did not answer"));
}

TEST_F(CollectiveFiles, a_rank_that_was_stopped_within_a_collective_is_named) {
  for (const int rank : {0, 1, 3}) write(rank, 801, false);
  write(2, 800, /*left=*/false);
  EXPECT_EQ(collective_verdict(folder),
            "collective 800 (barrier, step 400, phase inner) was left by ranks 0, 1, 3; rank 2 did "
            "not come out of it");
}

TEST_F(CollectiveFiles, ranks_that_left_no_list_are_named) {
  write(0, 5, false);
  write(3, 5, false);
  EXPECT_THAT(collective_verdict(folder),
              HasSubstr("ranks 0, 3; ranks 1, 2 were missing and did not answer"));
}

TEST_F(CollectiveFiles, a_rank_that_did_not_answer_is_missing_though_it_wrote_in_the_end) {
  CollectiveLog log;
  log.enter(1, "barrier", 0, 0, "wait");
  for (const int rank : {1, 2, 3}) {
    write_collectives(folder, rank, 4, log, RankEnd::kTimeout, {0});
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  write_collectives(folder, 0, 4, log, RankEnd::kTimeout,
                    {1, 2, 3});  // woken when the others are gone
  EXPECT_EQ(collective_verdict(folder),
            "collective 1 (barrier, step 0, phase wait) was entered by ranks 1, 2, 3; rank 0 was "
            "missing and did not answer: stopped, killed, or on a machine that is gone");
}

TEST_F(CollectiveFiles, where_all_came_nobody_is_blamed) {
  for (const int rank : {0, 1, 2, 3}) write(rank, 9, false);
  EXPECT_THAT(collective_verdict(folder), HasSubstr("none was missing"));
}

TEST_F(CollectiveFiles, an_error_of_a_rank_itself_is_no_lost_collective) {
  write(2, 800, /*left=*/true, RankEnd::kError);
  EXPECT_EQ(collective_verdict(folder),
            "rank 2 ended by an error that was no collective's, after collective 800 (barrier, "
            "step 400, phase inner): see the output of the job, and logs/rank-2.log");
  for (const int rank : {0, 1, 3}) write(rank, 800, true, RankEnd::kError);
  EXPECT_THAT(collective_verdict(folder), HasSubstr("ranks 0, 1, 2, 3 ended by an error that was"));
}

TEST_F(CollectiveFiles, an_error_within_a_collective_names_who_was_missing) {
  for (const int rank : {0, 1, 3}) write(rank, 801, /*left=*/false, RankEnd::kError);
  EXPECT_THAT(collective_verdict(folder), HasSubstr("rank 2 was missing and did not answer"));
}

TEST_F(CollectiveFiles, the_latest_256_are_kept) {
  CollectiveLog log;
  for (std::uint64_t i = 1; i <= 1000; ++i) log.enter(i, "barrier", 0, 0, "");
  const auto records = log.records();
  ASSERT_EQ(records.size(), CollectiveLog::kRecords);
  EXPECT_EQ(records.front().sequence, 745U);
  EXPECT_EQ(records.back().sequence, 1000U);
}

TEST_F(CollectiveFiles, runs_without_lists_and_damaged_ones_are_refused) {
  EXPECT_THROW((void)collective_verdict(folder), MissingInputError);
  std::ofstream(folder / "logs" / "collectives-rank-0.json") << "{";
  EXPECT_THROW((void)collective_verdict(folder), DataError);
}

TEST_F(CollectiveFiles, an_error_leaves_a_list_and_a_good_end_none) {
  const auto file = folder / "logs" / "collectives-rank-1.json";
  CollectiveLog log;
  log.enter(1, "barrier", 0, 0, "");
  { const CollectivesOnError guard(folder, 1, 2, log); }
  EXPECT_FALSE(fs::exists(file));
  try {
    const CollectivesOnError guard(folder, 1, 2, log);
    throw DataError("a cut file");
  } catch (const DataError&) {
  }
  EXPECT_TRUE(fs::exists(file));
}

TEST_F(CollectiveFiles, those_of_an_earlier_start_are_removed_and_nothing_else) {
  const auto logs = folder / "logs";
  for (const char* name : {"collectives-rank-0.json", "collectives-rank-12.json", "rank-0.log"}) {
    std::ofstream(logs / name) << "{";
  }
  remove_collectives(folder);
  EXPECT_FALSE(fs::exists(logs / "collectives-rank-0.json"));
  EXPECT_FALSE(fs::exists(logs / "collectives-rank-12.json"));
  EXPECT_TRUE(fs::exists(logs / "rank-0.log"));
  remove_collectives(folder / "no run");
}

}  // namespace
}  // namespace gondola
