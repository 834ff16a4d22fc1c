#pragma once

#include <functional>
#include <string>

#include "configs/run_config.hpp"
#include "launch/mpi_session.hpp"
#include "trainer/image_shape.hpp"

namespace gondola {

/// Collective over all ranks, on CPUs. Step times of up to 4096 ranks, from what two or more show:
/// the seconds of a step that has nobody to talk to, and what a message costs (collective_model),
/// fitted to sums of 64 bytes up to the gradient's size. Each of these is timed after such a step,
/// as in training: the caches are another's, and TCP has been idle for so long.
///
/// JSON objects, on rank 0: the fit; the step of these ranks as predicted and as measured, with the
/// collectives that it makes; and for each number of ranks the step and its efficiency, with the
/// images a rank (weak) and with all images (strong) kept. Steps are those of parallel.overlap =
/// off; where others hide a part of their messages behind work, they are faster than it says. What
/// no two ranks show is not in it: ranks that wait for the slowest of many, shared switches and
/// several ranks behind one link.
/// @throws ConfigError on one rank, and for options that contradict each other or ask for other
/// steps than of whole images that are the ranks' own
void bench_scaling_model(const RunConfig& options, const ImageShape& shape, const MpiSession& mpi,
                         const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
