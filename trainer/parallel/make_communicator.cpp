#include "trainer/parallel/make_communicator.hpp"

#include "configs/errors.hpp"
#include "trainer/parallel/mpi_check.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#if GONDOLA_WITH_CUDA
#include "trainer/parallel/cuda_stream.hpp"
#include "trainer/parallel/nccl_communicator.hpp"
#endif

namespace gondola {

std::unique_ptr<Communicator> make_communicator(const torch::Device& device, MPI_Comm world,
                                                CollectiveProgress& progress,
                                                [[maybe_unused]] double timeout_seconds) {
  if (device.is_cpu()) return std::make_unique<MpiCommunicator>(world, progress);
#if GONDOLA_WITH_CUDA
  return std::make_unique<NcclCommunicator>(device, std::make_unique<CudaStream>(device), world,
                                            progress, timeout_seconds);
#else
  throw ConfigError("this build has no CUDA, but the device is " + device.str() +
                    ": build with --preset cuda, or pass --parallel.device cpu");
#endif
}

std::unique_ptr<Communicator> make_group_communicator(const torch::Device& device, MPI_Comm world,
                                                      std::int64_t ranks,
                                                      CollectiveProgress& progress,
                                                      double timeout_seconds) {
  if (ranks == 1) return nullptr;
  int rank = 0;
  mpi_check(MPI_Comm_rank(world, &rank), "MPI_Comm_rank");
  MPI_Comm group = MPI_COMM_NULL;
  {
    const CollectiveScope scope(progress, "split");
    mpi_check(MPI_Comm_split(world, rank / static_cast<int>(ranks), rank, &group),
              "MPI_Comm_split");
    mpi_check(MPI_Comm_set_errhandler(group, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  return make_communicator(device, group, progress, timeout_seconds);
}

}  // namespace gondola
