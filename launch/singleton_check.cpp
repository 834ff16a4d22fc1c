#include "launch/singleton_check.hpp"

#include <cstdlib>
#include <string>

#include "configs/errors.hpp"

namespace gondola {

void refuse_singletons(int world_size) {
  const char* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  if (world_size > 1 || tasks == nullptr || std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return;
  if (std::strtol(tasks, nullptr, 10) <= 1) return;
  throw WorldError(std::string("Slurm started ") + tasks +
                   " tasks, but each of them is an MPI world of its own (rank 0 of 1): start them "
                   "with srun --mpi=pmix");
}

}  // namespace gondola
