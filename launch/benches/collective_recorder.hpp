#pragma once

#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "launch/benches/collective_model.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Passes on to another communicator, which must outlive it, and keeps what was asked for.
class CollectiveRecorder final : public Communicator {
 public:
  explicit CollectiveRecorder(Communicator& ranks) : ranks_(ranks) {}

  [[nodiscard]] int rank() const override { return ranks_.rank(); }
  [[nodiscard]] int size() const override { return ranks_.size(); }
  void all_reduce_sum(torch::Tensor& tensor) override {
    note(tensor.is_floating_point() ? Collective::Kind::kSum : Collective::Kind::kIntegerSum,
         tensor);
    ranks_.all_reduce_sum(tensor);
  }
  void broadcast(torch::Tensor& tensor, int root) override {
    note(Collective::Kind::kBroadcast, tensor);
    ranks_.broadcast(tensor, root);
  }
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override {
    note(Collective::Kind::kGather, tensor);
    return ranks_.all_gather(tensor);
  }
  void barrier() override {
    seen_.push_back({});
    ranks_.barrier();
  }

  /// Since the last call.
  [[nodiscard]] std::vector<Collective> take() { return std::exchange(seen_, {}); }

 private:
  void note(Collective::Kind kind, const torch::Tensor& tensor) {
    seen_.push_back({.kind = kind, .bytes = static_cast<std::int64_t>(tensor.nbytes())});
  }

  Communicator& ranks_;
  std::vector<Collective> seen_;
};

}  // namespace gondola
