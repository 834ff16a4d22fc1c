#pragma once

#include <mpi.h>

#include <type_traits>

namespace gondola {

/// MPI's name of float or double.
template <typename Value>
[[nodiscard]] MPI_Datatype mpi_type() {
  static_assert(std::is_same_v<Value, float> || std::is_same_v<Value, double>);
  return std::is_same_v<Value, float> ? MPI_FLOAT : MPI_DOUBLE;
}

}  // namespace gondola
