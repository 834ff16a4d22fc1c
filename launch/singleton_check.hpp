#pragma once

namespace gondola {

/// Refuses a world of one where Slurm started several tasks of this step: MPI was not reached
/// through PMIx and each task would train alone. Reads SLURM_STEP_NUM_TASKS; a world started by
/// mpirun inside a step (OMPI_COMM_WORLD_SIZE) is none of its business. @throws WorldError
void refuse_singletons(int world_size);

}  // namespace gondola
