#pragma once

#include "launch/mpi_session.hpp"

namespace gondola {

/// Collective. Does what the command line asks for and returns the program's exit code. Commands
/// that need one process run on rank 0, the others have nothing to do; before a command of all
/// ranks a world of Slurm singletons is refused and malloc is set up for tensors.
/// @throws Error as the command does; ConfigError for an unknown command
int run_command(int argc, const char* const* argv, MpiSession& mpi);

}  // namespace gondola
