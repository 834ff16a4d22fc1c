#include "launch/singleton_check.hpp"

#include <cstdlib>
#include <string>

#include "configs/errors.hpp"

namespace gondola {
namespace {

/// Tasks of this step where Slurm started it, not mpirun; else 0.
long tasks_of_slurm() {
  const char* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  if (tasks == nullptr || std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return 0;
  return std::strtol(tasks, nullptr, 10);
}

}  // namespace

std::string explain_missing_pmix() {
  const auto tasks = tasks_of_slurm();
  if (tasks <= 1 || std::getenv("PMIX_RANK") != nullptr) return {};
  return "Slurm started " + std::to_string(tasks) +
         " tasks without PMIx, through which they would find each other: start them with srun "
         "--mpi=pmix or, where srun --mpi=list does not name pmix, with mpirun inside the job";
}

void refuse_singletons(int world_size) {
  const auto tasks = tasks_of_slurm();
  if (world_size > 1 || tasks <= 1) return;
  throw WorldError("Slurm started " + std::to_string(tasks) +
                   " tasks, but each of them is an MPI world of its own (rank 0 of 1): start them "
                   "with srun --mpi=pmix");
}

}  // namespace gondola
