#include "monitoring/log_file.hpp"

#include <gtest/gtest.h>

#include "configs/errors.hpp"
#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using LogFile = FolderTest;

TEST_F(LogFile, lines_are_in_the_file_at_once_and_a_resume_appends) {
  const RankLog log(folder(), 2);
  log.info("training on 500 images");
  EXPECT_TRUE(read("logs/rank-2.log").ends_with(" info training on 500 images\n"));
  RankLog(folder(), 2).info("resumed");
  const auto text = read("logs/rank-2.log");
  EXPECT_NE(text.find("training on 500 images\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with(" info resumed\n"));
}

TEST_F(LogFile, rank_0_warns_on_stderr_and_other_ranks_in_their_file_only) {
  const RankLog first(folder(), 0);
  const RankLog second(folder(), 1);
  testing::internal::CaptureStderr();
  first.info("quiet");
  first.warn("port taken");
  second.warn("port taken on rank 1");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "gondola: warning: port taken\n");
  EXPECT_TRUE(read("logs/rank-1.log").ends_with("warning port taken on rank 1\n"));
}

TEST_F(LogFile, a_folder_that_cannot_be_made_is_an_io_error) {
  write("logs", "a file where the folder should be");
  EXPECT_THROW(RankLog(folder(), 0), IoError);
}

}  // namespace
}  // namespace gondola
