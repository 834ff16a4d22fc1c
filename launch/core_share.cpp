#include "launch/core_share.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

int share_of_cores(std::span<const cpu_set_t> allowed, int local_rank) {
  const auto& own = allowed[static_cast<std::size_t>(local_rank)];
  double share = 0.0;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &own)) continue;
    const auto users = std::count_if(allowed.begin(), allowed.end(), [core](const cpu_set_t& mask) {
      return CPU_ISSET(core, &mask) != 0;
    });
    share += 1.0 / static_cast<double>(users);
  }
  constexpr double kRounding = 1e-9;  // three thirds are one
  return std::max(1, static_cast<int>(std::floor(share + kRounding)));
}

cpu_set_t allowed_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
    throw IoError(std::string("the cores this process may run on cannot be read (") +
                  std::strerror(errno) + "): set --parallel.threads");
  }
  return mask;
}

}  // namespace gondola
