#pragma once

#include <mpi.h>

#include <cstddef>
#include <vector>

namespace gondola {

/// The ranks of a communicator by the machine that they run on, as a sum takes them: first within
/// each machine, then over machines, so that a value crosses the network once a machine and not
/// once a rank.
struct MpiNodes {
  /// Collective over `comm`. @param ranks_a_node neighbours that count as one machine's; 0: those
  /// that MPI finds to share memory. @throws CommError
  MpiNodes(MPI_Comm comm, int ranks_a_node);

  /// Ranks in ascending order, machines by their lowest. One group of all where machines have
  /// one rank each or different numbers of them.
  std::vector<std::vector<int>> groups;
  std::size_t group = 0;  ///< Of this rank.
  std::size_t index = 0;  ///< Of this rank in its group.
};

}  // namespace gondola
