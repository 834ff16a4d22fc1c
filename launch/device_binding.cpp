#include "launch/device_binding.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <mpi.h>
#include <torch/cuda.h>

#include <array>
#include <map>
#include <vector>

#include "configs/errors.hpp"
#include "launch/core_share.hpp"
#include "launch/host_name.hpp"
#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/rank_names.hpp"
#if GONDOLA_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace gondola {
namespace {

/// Collective. One plain value of each rank of `comm`, in rank order.
template <typename Value>
std::vector<Value> gather(MPI_Comm comm, const Value& mine) {
  int size = 0;
  mpi_check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  std::vector<Value> all(static_cast<std::size_t>(size));
  mpi_check(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, comm),
            "MPI_Allgather");
  return all;
}

std::string bus_id_of([[maybe_unused]] int gpu) {
  std::array<char, 32> id{};
#if GONDOLA_WITH_CUDA
  if (cudaDeviceGetPCIBusId(id.data(), id.size(), gpu) != cudaSuccess) {
    throw WorldError("CUDA does not tell the bus id of GPU " + std::to_string(gpu) +
                     ": look at nvidia-smi on that machine");
  }
#endif
  return id.data();
}

/// Collective over the world. Whether the run takes GPUs. @param visible GPUs this rank sees.
bool takes_gpus(DeviceKind kind, int visible, MPI_Comm world) {
  if (kind == DeviceKind::kCpu) return false;
  if (kind == DeviceKind::kCuda && GONDOLA_WITH_CUDA == 0) {
    throw ConfigError(
        "parallel.device is cuda, but this program was built without CUDA: build it with "
        "launch/setup.sh --cuda, or choose cpu or auto");
  }
  std::vector<int> without;
  const auto all = gather(world, visible);
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r] == 0) without.push_back(static_cast<int>(r));
  }
  if (without.empty()) return true;
  if (kind == DeviceKind::kAuto && without.size() == all.size()) return false;
  throw WorldError("no GPU is visible to " + name_ranks(without) +
                   (without.size() < all.size() ? ", but one is to the others" : "") +
                   ": ask for GPUs on every machine (CUDA_VISIBLE_DEVICES, Slurm's "
                   "--gpus-per-node), or set --parallel.device cpu");
}

/// From each of these to each. Empty where this rank does not see them all.
PeerAccess access_between([[maybe_unused]] std::span<const GpuOfRank> gpus) {
  PeerAccess access;
#if GONDOLA_WITH_CUDA
  std::vector<int> devices;
  for (const auto& gpu : gpus) {
    int device = 0;
    if (cudaDeviceGetByPCIBusId(&device, gpu.bus_id.c_str()) != cudaSuccess) {
      static_cast<void>(cudaGetLastError());  // or a later call reports it
      return {};
    }
    devices.push_back(device);
  }
  for (const int from : devices) {
    auto& row = access.emplace_back();
    for (const int to : devices) {
      int can = 0;
      row.push_back(from == to ||
                    (cudaDeviceCanAccessPeer(&can, from, to) == cudaSuccess && can != 0));
    }
  }
#endif
  return access;
}

/// Collective over the machine. Puts device, peers and warning into the binding.
void choose_gpu(int visible, const MpiSession& mpi, DeviceBinding& binding) {
  const int gpu = gpu_of_rank(visible, mpi.local_rank(), mpi.local_size());
  struct Place {
    int rank = 0;
    int visible = 0;
    std::array<char, 32> bus_id{};
  };
  Place mine{.rank = mpi.rank(), .visible = visible, .bus_id = {}};
  bus_id_of(gpu).copy(mine.bus_id.data(), mine.bus_id.size() - 1);
  std::vector<GpuOfRank> gpus;
  for (const auto& place : gather(mpi.node(), mine)) {
    gpus.push_back({.rank = place.rank, .bus_id = place.bus_id.data(), .visible = place.visible});
  }
  refuse_shared_gpus(gpus);
  binding.device = {torch::kCUDA, static_cast<c10::DeviceIndex>(gpu)};
  c10::impl::VirtualGuardImpl(torch::kCUDA).setDevice(binding.device);  // of this thread
  if (mpi.local_rank() != 0 || gpus.size() == 1) return;
  binding.warning = narrow_view_warning(gpus, host_name());
  if (const auto access = access_between(gpus); !access.empty()) {
    binding.peers = host_name() + ": " + peer_access_in_words(gpus, access);
  }
}

}  // namespace

int gpu_of_rank(int visible, int local_rank, int local_size) {
  if (visible == 1) return 0;
  if (local_size > visible) {
    throw WorldError(std::to_string(local_size) + " ranks run on a machine with " +
                     std::to_string(visible) +
                     " visible GPUs: start one rank a GPU there, or set --parallel.device cpu");
  }
  return local_rank;
}

void refuse_shared_gpus(std::span<const GpuOfRank> gpus) {
  std::map<std::string, int> owner;
  for (const auto& gpu : gpus) {
    const auto [place, is_new] = owner.emplace(gpu.bus_id, gpu.rank);
    if (is_new) continue;
    throw WorldError("ranks " + std::to_string(place->second) + " and " + std::to_string(gpu.rank) +
                     " share the GPU " + gpu.bus_id +
                     ": start one rank a GPU and let each see its own or all of the machine's "
                     "(Slurm's --gpus-per-node), or set --parallel.device cpu");
  }
}

void apply_precision(const RunConfig& config) {
  const bool tf32 = config.trainer.precision == Precision::kTf32;
  at::globalContext().setAllowTF32CuBLAS(tf32);
  at::globalContext().setAllowTF32CuDNN(tf32);
  if (config.parallel.deterministic) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setBenchmarkCuDNN(false);
  }
}

void check_graph(const RunConfig& config, torch::Device device, int world) {
  if (!config.trainer.cuda_graph) return;
  if (!device.is_cuda()) {
    throw ConfigError(
        "trainer.cuda_graph = true needs a GPU, and there is none here: set trainer.cuda_graph = "
        "false, or parallel.device = cuda to hear why");
  }
  if (world > 1 && config.model.decoder == DecoderKind::kConv &&
      config.model.batch_norm == BatchNormMode::kSync) {
    throw ConfigError(
        "trainer.cuda_graph = true does not go with model.batch_norm = sync on " +
        std::to_string(world) +
        " ranks, whose statistics are added up in the middle of a step: set trainer.cuda_graph = "
        "false, or model.batch_norm = local");
  }
}

DeviceBinding bind_device(const ParallelSection& config, const MpiSession& mpi) {
  DeviceBinding binding;
  const auto visible = static_cast<int>(torch::cuda::device_count());
  if (takes_gpus(config.device, visible, mpi.world())) {
    choose_gpu(visible, mpi, binding);
    binding.description = binding.device.str() + " (" + bus_id_of(binding.device.index()) + "), ";
  }
  const auto masks = gather(mpi.node(), allowed_cores());
  binding.threads = config.threads > 0 ? static_cast<int>(config.threads)
                                       : share_of_cores(masks, mpi.local_rank());
  at::set_num_threads(binding.threads);
  binding.description +=
      std::to_string(binding.threads) + (binding.threads == 1 ? " thread" : " threads");
  return binding;
}

}  // namespace gondola
