#include "launch/start_up_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <vector>

#include "configs/errors.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

using testing::HasSubstr;

class StartUpCheckTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};

  std::string complaint(std::uint64_t config, std::uint64_t dataset) {
    try {
      compare_over_ranks(comm, std::vector<NamedHash>{{"config", config}, {"dataset", dataset}});
      return "";
    } catch (const WorldError& error) {
      return error.what();
    }
  }
};

TEST_F(StartUpCheckTest, the_same_everywhere_passes) {
  EXPECT_EQ(complaint(0xffff'ffff'ffff'fff0U, 2), "");
}

TEST_F(StartUpCheckTest, the_odd_rank_and_the_thing_are_named_on_every_rank) {
  const int odd = comm.size() - 1;
  const auto sentence = complaint(1, comm.rank() == odd ? 3 : 2);
  if (comm.size() == 1) {
    EXPECT_EQ(sentence, "");
  } else if (comm.size() == 2) {
    EXPECT_EQ(sentence,
              "the dataset of ranks 0, 1 is not the same: give every rank the same dataset");
  } else {
    EXPECT_EQ(sentence, "the dataset of rank " + std::to_string(odd) +
                            " is not that of the other ranks: give every rank the same dataset");
  }
}

TEST_F(StartUpCheckTest, rank_0_can_be_the_odd_one) {
  const auto sentence = complaint(comm.rank() == 0 ? 7 : 1, 2);
  EXPECT_THAT(sentence, comm.size() == 1   ? HasSubstr("")
                        : comm.size() == 2 ? HasSubstr("the config of ranks 0, 1 is not the same")
                                           : HasSubstr("the config of rank 0 is not that of"));
}

TEST_F(StartUpCheckTest, the_program_is_the_same_on_all_ranks_and_other_texts_hash_apart) {
  EXPECT_EQ(complaint(hash_of_this_program(), 0), "");
  EXPECT_NE(hash_of_text("a"), hash_of_text("b"));
  EXPECT_EQ(hash_of_text(""), 0x2d06800538d394c2U);  // xxh3 of nothing, from its documentation
}

}  // namespace
}  // namespace gondola
