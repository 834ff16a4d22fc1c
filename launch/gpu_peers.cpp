#include "launch/gpu_peers.hpp"

#include <algorithm>

#include "trainer/parallel/rank_names.hpp"

namespace gondola {

std::string peer_access_in_words(std::span<const GpuOfRank> gpus, const PeerAccess& access) {
  constexpr std::size_t kNamed = 4;
  std::vector<std::string> apart;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    for (std::size_t j = i + 1; j < gpus.size(); ++j) {
      if (access[i][j] && access[j][i]) continue;
      apart.push_back(gpus[i].bus_id + " and " + gpus[j].bus_id);
    }
  }
  const auto pairs = gpus.size() * (gpus.size() - 1) / 2;
  auto words = std::to_string(gpus.size()) + " GPUs, ";
  if (apart.empty()) return words + "each reaches all others directly (peer to peer)";
  if (apart.size() == pairs) return words + "none reaches another but through host memory";
  words += std::to_string(pairs - apart.size()) + " of " + std::to_string(pairs) +
           " pairs reach each other directly, through host memory only ";
  for (std::size_t i = 0; i < std::min(apart.size(), kNamed); ++i) {
    words += (i == 0 ? "" : ", ") + apart[i];
  }
  if (apart.size() > kNamed) words += " and " + std::to_string(apart.size() - kNamed) + " more";
  return words;
}

std::string narrow_view_warning(std::span<const GpuOfRank> gpus, const std::string& host) {
  std::vector<int> narrow;
  for (const auto& gpu : gpus) {
    if (gpu.visible == 1 && gpus.size() > 1) narrow.push_back(gpu.rank);
  }
  if (narrow.empty()) return {};
  return name_ranks(narrow) + (narrow.size() == 1 ? " sees" : " see") + " one of the " +
         std::to_string(gpus.size()) + " GPUs that are used on " + host +
         ": NCCL may then go through host memory where GPUs could reach each other directly; let "
         "each rank see all GPUs of its machine (Slurm's --gpus-per-node, without --gpus-per-task "
         "and with --gpu-bind=none; CUDA_VISIBLE_DEVICES alike on all ranks of a machine)";
}

}  // namespace gondola
