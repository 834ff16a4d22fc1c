#include "trainer/parallel/make_communicator.hpp"

#include "configs/errors.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#if GONDOLA_WITH_CUDA
#include "trainer/parallel/nccl_communicator.hpp"
#endif

namespace gondola {

std::unique_ptr<Communicator> make_communicator(const torch::Device& device, MPI_Comm world,
                                                CollectiveProgress& progress,
                                                [[maybe_unused]] double timeout_seconds) {
  if (device.is_cpu()) return std::make_unique<MpiCommunicator>(world, progress);
#if GONDOLA_WITH_CUDA
  return std::make_unique<NcclCommunicator>(device, world, progress, timeout_seconds);
#else
  throw ConfigError("this build has no CUDA, but the device is " + device.str() +
                    ": build with --preset cuda, or pass --parallel.device cpu");
#endif
}

}  // namespace gondola
