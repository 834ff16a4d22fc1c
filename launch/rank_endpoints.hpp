#pragma once

#include <string>
#include <vector>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Where a rank answers /healthz.
struct RankEndpoint {
  std::string host;
  int port = 0;  ///< 0: it has none.
  /// False for another machine's endpoint that listens on its loopback only.
  bool reachable = false;
};

/// Collective. Every rank's endpoint as this rank sees it, in rank order. @param mine port 0 where
/// this rank has none; a host of the loopback is reached from the same machine alone.
/// @param control a communicator for CPU tensors. @throws CommError
[[nodiscard]] std::vector<RankEndpoint> gather_endpoints(Communicator& control,
                                                         const RankEndpoint& mine);

}  // namespace gondola
