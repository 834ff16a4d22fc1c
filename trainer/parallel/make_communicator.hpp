#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <memory>

#include "trainer/parallel/collective_progress.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Collective over `world`. The communicator for tensors on `device`, the same kind on every rank:
/// MPI for the CPU, NCCL for a GPU (one GPU a rank, made current for this thread).
/// @param timeout_seconds longest wait for the peers while NCCL starts.
/// @throws CommError; ConfigError for a GPU in a build without CUDA.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator(const torch::Device& device,
                                                              MPI_Comm world,
                                                              CollectiveProgress& progress,
                                                              double timeout_seconds);

}  // namespace gondola
