#pragma once

#include <functional>
#include <string>

#include "configs/run_config.hpp"
#include "launch/mpi_session.hpp"

namespace gondola {

/// Collective over all ranks. The sum of a gradient's buffer over the ranks, as a step on CPUs
/// makes it, beside MPI_Allreduce of the same bytes: alternated, bench.repeats times, buffers of 4
/// KiB to 64 MiB. A time is that of the slowest rank. One JSON object a line and size, on rank 0.
/// @throws ConfigError on one rank, which has nothing to add
void bench_allreduce(const RunConfig& config, const MpiSession& mpi,
                     const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
