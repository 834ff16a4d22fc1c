#pragma once

#include <source_location>

namespace gondola {

/// Passes MPI_SUCCESS; anything else becomes one sentence with `call` (the MPI function), the place
/// of the caller and MPI's own words. REQUIRES a communicator whose errors return. @throws
/// CommError
void mpi_check(int status, const char* call,
               std::source_location where = std::source_location::current());

}  // namespace gondola
