#include "trainer/parallel/mpi_nodes.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "trainer/parallel/mpi_check.hpp"

namespace gondola {
namespace {

/// Collective. The lowest rank of the machine of each rank, [W].
std::vector<int> first_ranks(MPI_Comm comm, int rank, int size, int ranks_a_node) {
  int first = rank;
  if (ranks_a_node > 0) {
    first = rank / ranks_a_node * ranks_a_node;
  } else {
    MPI_Comm node = MPI_COMM_NULL;
    mpi_check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node),
              "MPI_Comm_split_type");
    mpi_check(MPI_Bcast(&first, 1, MPI_INT, 0, node), "MPI_Bcast");
    mpi_check(MPI_Comm_free(&node), "MPI_Comm_free");
  }
  std::vector<int> all(static_cast<std::size_t>(size));
  mpi_check(MPI_Allgather(&first, 1, MPI_INT, all.data(), 1, MPI_INT, comm), "MPI_Allgather");
  return all;
}

}  // namespace

MpiNodes::MpiNodes(MPI_Comm comm, int ranks_a_node) {
  int rank = 0;
  int size = 1;
  mpi_check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  const auto first = first_ranks(comm, rank, size, ranks_a_node);
  std::map<int, std::vector<int>> nodes;
  for (int r = 0; r < size; ++r) nodes[first[static_cast<std::size_t>(r)]].push_back(r);
  const auto ranks = nodes.begin()->second.size();
  const bool alike =
      std::ranges::all_of(nodes, [&](const auto& node) { return node.second.size() == ranks; });
  if (ranks == 1 || !alike) {
    auto& all = groups.emplace_back(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), 0);
  } else {
    for (auto& node : nodes) groups.push_back(std::move(node.second));
  }
  while (std::ranges::find(groups[group], rank) == groups[group].end()) ++group;
  index = static_cast<std::size_t>(std::ranges::find(groups[group], rank) - groups[group].begin());
}

}  // namespace gondola
