#pragma once

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/parallel/fake_nccl/control.hpp"
#include "tests/parallel/fake_nccl/host_stream.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#include "trainer/parallel/nccl_communicator.hpp"

namespace gondola {

/// Waits for `condition`, a minute at most. Returns whether it came true.
template <typename Condition>
bool until(const Condition& condition) {
  const auto last = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > last) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// NcclCommunicators of all ranks over the fake NCCL, their device being a queue on the host.
class NcclOnHost : public testing::Test {
 protected:
  /// Collective.
  [[nodiscard]] std::unique_ptr<NcclCommunicator> make(const fake_nccl::Plan& plan = {},
                                                       double timeout_seconds = 60) {
    fake_nccl::set_plan(plan);
    return std::make_unique<NcclCommunicator>(torch::kCPU,
                                              std::make_unique<fake_nccl::HostStream>(device),
                                              MPI_COMM_WORLD, progress, timeout_seconds);
  }

  /// Nobody ends a connection that a peer still needs.
  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQ(fake_nccl::counts().at_the_same_time, 0);
    EXPECT_EQ(fake_nccl::counts().dead_handles, 0);
    fake_nccl::reset();
    synchronize();
  }
  /// Waits until the device has nothing left to do.
  void synchronize() {
    device.beside.synchronize();  // what it waits for is on the other queue
    device.queue.synchronize();
  }

  /// Of the collective that was entered last.
  [[nodiscard]] CollectiveRecord latest() const {
    const auto records = progress.log().records();
    return records.empty() ? CollectiveRecord{} : records.back();
  }
  /// The watchdog would find it: entered last, and not left.
  [[nodiscard]] bool is_in(const std::string& call) const {
    return progress.inside() && latest().name == call && latest().left == 0;
  }
  /// Whether the helper thread has looked so often from now on. After an error it no longer does.
  [[nodiscard]] static bool looked(int times) {
    const auto before = fake_nccl::counts().state_polls;
    return until([&] { return fake_nccl::counts().state_polls >= before + times; });
  }

  CollectiveProgress progress;
  fake_nccl::HostDevice device;
  MpiCommunicator mpi{MPI_COMM_WORLD, progress};
  const bool last_rank = mpi.rank() == mpi.size() - 1;
};

}  // namespace gondola
