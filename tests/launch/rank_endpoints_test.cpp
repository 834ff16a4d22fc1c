#include "launch/rank_endpoints.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

TEST(RankEndpointsTest, every_rank_learns_where_the_others_answer) {
  CollectiveProgress progress;
  MpiCommunicator comm(MPI_COMM_WORLD, progress);
  const bool last_has_none = comm.size() > 1;
  const int port = last_has_none && comm.rank() == comm.size() - 1 ? 0 : 9000 + comm.rank();
  const auto endpoints = gather_endpoints(comm, {.host = "127.0.0.1", .port = port});
  ASSERT_EQ(endpoints.size(), static_cast<std::size_t>(comm.size()));
  for (int r = 0; r < comm.size(); ++r) {
    const auto& endpoint = endpoints[static_cast<std::size_t>(r)];
    const bool has_one = !last_has_none || r < comm.size() - 1;
    EXPECT_EQ(endpoint.host, "127.0.0.1");
    EXPECT_EQ(endpoint.port, has_one ? 9000 + r : 0);
    EXPECT_EQ(endpoint.reachable, has_one);  // all ranks of this test are on one machine
  }
}

}  // namespace
}  // namespace gondola
