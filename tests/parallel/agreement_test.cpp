#include "trainer/parallel/agreement.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

class AgreementTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};
};

TEST_F(AgreementTest, nobody_stops_when_nobody_was_asked) { EXPECT_FALSE(agree(comm, {}).stop); }

TEST_F(AgreementTest, one_rank_asked_to_stop_stops_all) {
  for (int asked = 0; asked < comm.size(); ++asked) {
    const auto agreed = agree(comm, {.stop = comm.rank() == asked});
    EXPECT_TRUE(agreed.stop) << "asked: " << asked;
  }
}

TEST_F(AgreementTest, what_rank_0_says_of_a_checkpoint_is_known_to_all) {
  for (const auto news :
       {CheckpointNews::kNone, CheckpointNews::kWritten, CheckpointNews::kFailed}) {
    const auto own = comm.rank() == 0 ? news : CheckpointNews::kNone;
    for (const bool stop : {false, true}) {
      const auto agreed = agree(comm, {.stop = stop, .checkpoint = own});
      EXPECT_EQ(agreed.checkpoint, news);
      EXPECT_EQ(agreed.stop, stop);
    }
  }
}

TEST_F(AgreementTest, a_step_costs_one_collective) {
  const auto before = progress.sequence();
  static_cast<void>(agree(comm, {}));
  EXPECT_EQ(progress.sequence(), before + 1);
}

}  // namespace
}  // namespace gondola
