#pragma once

#include <span>
#include <string>
#include <vector>

namespace gondola {

/// A rank's GPU, as that rank sees its machine.
struct GpuOfRank {
  int rank = 0;
  std::string bus_id;  ///< The GPU's place on the machine's bus.
  int visible = 0;     ///< GPUs of the machine that the rank sees.
};

/// Which GPUs reach each other's memory: [i][j] from the i-th to the j-th.
using PeerAccess = std::vector<std::vector<bool>>;

/// How the GPUs of a machine's ranks reach each other, in one line. REQUIRES two or more, and as
/// many rows and columns.
[[nodiscard]] std::string peer_access_in_words(std::span<const GpuOfRank> gpus,
                                               const PeerAccess& access);

/// A warning about ranks of the machine `host` that see one of the GPUs there, which are the ranks
/// given; empty where each sees those of the others.
[[nodiscard]] std::string narrow_view_warning(std::span<const GpuOfRank> gpus,
                                              const std::string& host);

}  // namespace gondola
