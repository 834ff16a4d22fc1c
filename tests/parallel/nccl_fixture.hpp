#pragma once

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
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

/// Waits for the device after each call: what comes next on tensors of the host does not go to its
/// streams. A sum that was started is under way until it is waited for.
class Synchronized : public Communicator {
 public:
  Synchronized(Communicator& inner, fake_nccl::HostDevice& device)
      : inner_(inner), device_(device) {}

  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  void all_reduce_sum(torch::Tensor& tensor) override {
    inner_.all_reduce_sum(tensor);
    device_.queue.synchronize();
  }
  [[nodiscard]] std::unique_ptr<PendingSum> start_all_reduce_sum(torch::Tensor& tensor) override {
    return std::make_unique<Started>(*this, inner_.start_all_reduce_sum(tensor));
  }
  void broadcast(torch::Tensor& tensor, int root) override {
    inner_.broadcast(tensor, root);
    device_.queue.synchronize();
  }
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override {
    auto all = inner_.all_gather(tensor);
    device_.queue.synchronize();
    return all;
  }
  void barrier() override { inner_.barrier(); }

 protected:
  /// Called where a started sum is moved on and before it is waited for.
  virtual void on_progress() {}
  virtual void on_wait() {}

 private:
  class Started final : public PendingSum {
   public:
    Started(Synchronized& ranks, std::unique_ptr<PendingSum> inner)
        : ranks_(ranks), inner_(std::move(inner)) {}
    void progress() override {
      inner_->progress();
      ranks_.on_progress();
    }
    void wait() override {
      ranks_.on_wait();
      inner_->wait();
      ranks_.device_.queue.synchronize();
    }

   private:
    Synchronized& ranks_;
    std::unique_ptr<PendingSum> inner_;
  };

  Communicator& inner_;
  fake_nccl::HostDevice& device_;
};

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
