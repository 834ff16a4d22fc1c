#pragma once

#include <torch/types.h>

#include <span>
#include <string>

#include "configs/run_config.hpp"
#include "launch/gpu_peers.hpp"
#include "launch/mpi_session.hpp"

namespace gondola {

/// Where this rank computes.
struct DeviceBinding {
  torch::Device device = torch::kCPU;
  int threads = 1;          ///< Compute threads, now in force in ATen, MKL and oneDNN.
  std::string description;  ///< For people: "2 threads", "cuda:1 (0000:41:00.0), 8 threads".
  /// On the first rank of a machine whose ranks have several GPUs: how these reach each other, and
  /// what is wrong with how ranks see them. Else empty.
  std::string peers;
  std::string warning;
};

/// Collective over the world. Chooses this rank's device and number of threads and puts them into
/// force. `auto` takes a GPU where every rank sees one and the CPU where none does; a GPU is the
/// one of the local rank, or the only one visible. Threads: config.threads, or the rank's share of
/// its machine's cores.
/// @throws WorldError where ranks see different kinds of devices, a machine has fewer GPUs than
/// ranks or two ranks got the same GPU; ConfigError for cuda in a build without it.
[[nodiscard]] DeviceBinding bind_device(const ParallelSection& config, const MpiSession& mpi);

/// Puts trainer.precision and parallel.deterministic into force on this rank's device.
void apply_precision(const RunConfig& config);

/// What of trainer.cuda_graph depends on the device and the number of ranks. @throws ConfigError
void check_graph(const RunConfig& config, torch::Device device, int world);

/// Index of a rank's GPU among the `visible` ones of its machine. @throws WorldError
[[nodiscard]] int gpu_of_rank(int visible, int local_rank, int local_size);

/// @throws WorldError naming two ranks of one machine that have the same GPU.
void refuse_shared_gpus(std::span<const GpuOfRank> gpus);

}  // namespace gondola
