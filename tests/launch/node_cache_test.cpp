#include "launch/node_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <numeric>
#include <vector>

#include "configs/errors.hpp"
#include "launch/together.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

using ::testing::HasSubstr;

class TogetherTest : public ::testing::Test {
 protected:
  CollectiveProgress progress_;
  MpiCommunicator control_{MPI_COMM_WORLD, progress_};
};

TEST_F(TogetherTest, what_one_rank_throws_all_ranks_throw) {
  const int last = control_.size() - 1;
  try {
    run_together(control_, [&] {
      if (control_.rank() == last) throw DataError("image 7 is damaged; copy the file again");
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadData);
    EXPECT_STREQ(error.what(), "image 7 is damaged; copy the file again");
  }
}

TEST_F(TogetherTest, of_several_errors_the_lowest_ranks_is_told) {
  try {
    run_together(control_,
                 [&] { throw IoError("rank " + std::to_string(control_.rank()) + " failed"); });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kIoFailed);
    EXPECT_STREQ(error.what(), "rank 0 failed");
  }
}

TEST_F(TogetherTest, made_images_are_never_cached) {
  const auto images = open_source("synthetic:20x1x8x8", Split::kTrain, CacheKind::kNone);
  for (const auto wanted : {CacheKind::kAuto, CacheKind::kHost, CacheKind::kNone}) {
    EXPECT_EQ(choose_cache(wanted, *images, /*targets=*/nullptr, control_).kind, CacheKind::kNone);
  }
}

}  // namespace
}  // namespace gondola
