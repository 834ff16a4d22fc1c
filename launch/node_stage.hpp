#pragma once

#include <string>

#include "launch/mpi_session.hpp"
#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Collective. Where data.stage names a folder, the first rank of each machine copies the files of
/// a dataset there (data/stage.hpp) and all of its ranks read the copies; rank 0 prints how far
/// that is. A failure on one machine is thrown on every rank alike.
/// @param list the dataset: data.path or data.targets. @param folder data.stage
/// @param control a communicator for CPU tensors.
/// @return what to open in place of `list`: `list` itself where nothing is staged (no folder, no
///         dataset, or images that are made and not read)
/// @throws Error on every rank alike
[[nodiscard]] std::string stage_on_node(const std::string& list, const std::string& folder,
                                        const MpiSession& mpi, Communicator& control,
                                        CollectiveProgress& progress);

}  // namespace gondola
