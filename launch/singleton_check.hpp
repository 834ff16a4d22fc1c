#pragma once

#include <string>

namespace gondola {

/// Before MPI_Init: what is wrong where Slurm started several tasks of this step without PMIx (srun
/// --mpi=none or pmi2), for which Open MPI ends each of them in MPI_Init with a page of text. Empty
/// where nothing is. Reads the environment.
[[nodiscard]] std::string explain_missing_pmix();

/// Refuses a world of one where Slurm started several tasks of this step: MPI was not reached
/// through PMIx and each task would train alone. Reads SLURM_STEP_NUM_TASKS; a world started by
/// mpirun inside a step (OMPI_COMM_WORLD_SIZE) is none of its business. @throws WorldError
void refuse_singletons(int world_size);

}  // namespace gondola
