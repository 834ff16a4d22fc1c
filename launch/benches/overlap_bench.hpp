#pragma once

#include <functional>
#include <string>

#include "configs/run_config.hpp"
#include "launch/mpi_session.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// Collective over all ranks, on CPUs. How much of the gradient's all-reduce lies behind
/// computation: steps that overlap it (parallel.overlap = auto) and steps that wait for it (off),
/// in turn, bench.repeats of each. One JSON object, on rank 0: seconds that the slowest rank spends
/// in all-reduces of a step, as they are waited for, and the share of them that overlapping hides,
/// also of the gradient's alone, without the sums that only overlapping needs; and steps/s as a
/// ratio, for where MPI moves the bytes it is the processor that is busy with them.
/// @throws ConfigError on one rank, and for models whose steps do not overlap
void bench_overlap(const RunConfig& config, const ImageShape& shape, const MpiSession& mpi,
                   const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
