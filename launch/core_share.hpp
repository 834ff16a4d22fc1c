#pragma once

#include <sched.h>

#include <span>

namespace gondola {

/// How many compute threads a rank gets of its machine's cores: each core that it may run on counts
/// in equal parts for all ranks that may run on it. Never less than one.
/// @param allowed the affinity mask of each rank of the machine. @param local_rank whose share.
[[nodiscard]] int share_of_cores(std::span<const cpu_set_t> allowed, int local_rank);

/// The cores this process may run on. @throws IoError
[[nodiscard]] cpu_set_t allowed_cores();

}  // namespace gondola
