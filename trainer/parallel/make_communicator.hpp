#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <cstdint>
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

/// Collective over `world`. The same of a group of `ranks` neighbours, into which all of `world` is
/// cut; nullptr for groups of one. REQUIRES ranks to divide the size of `world`. @throws as above
[[nodiscard]] std::unique_ptr<Communicator> make_group_communicator(const torch::Device& device,
                                                                    MPI_Comm world,
                                                                    std::int64_t ranks,
                                                                    CollectiveProgress& progress,
                                                                    double timeout_seconds);

}  // namespace gondola
