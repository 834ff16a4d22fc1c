#pragma once

#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "launch/benches/bench_figures.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Passes on to another communicator, which must outlive it, and times what waits for the sum of
/// the gradient: all of it, or the end of one that was started.
class GradientClock final : public Communicator {
 public:
  explicit GradientClock(Communicator& ranks) : ranks_(ranks) {}
  /// The gradients that are looked for, of which a piece may be added at a time.
  void look_for(std::vector<torch::Tensor> gradients) { gradients_ = std::move(gradients); }
  /// Seconds since the last call.
  [[nodiscard]] double take() { return std::exchange(seconds_, 0.0); }

  [[nodiscard]] int rank() const override { return ranks_.rank(); }
  [[nodiscard]] int size() const override { return ranks_.size(); }
  void all_reduce_sum(torch::Tensor& tensor) override {
    const auto start = Clock::now();
    ranks_.all_reduce_sum(tensor);
    if (is_of_a_gradient(tensor)) seconds_ += seconds_since(start);
  }
  [[nodiscard]] std::unique_ptr<PendingSum> start_all_reduce_sum(torch::Tensor& tensor) override {
    return std::make_unique<Started>(*this, ranks_.start_all_reduce_sum(tensor));
  }
  void broadcast(torch::Tensor& tensor, int root) override { ranks_.broadcast(tensor, root); }
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override {
    return ranks_.all_gather(tensor);
  }
  void barrier() override { ranks_.barrier(); }

 private:
  class Started final : public PendingSum {
   public:
    Started(GradientClock& clock, std::unique_ptr<PendingSum> sum)
        : clock_(clock), sum_(std::move(sum)) {}
    void progress() override { sum_->progress(); }
    void wait() override {
      const auto start = Clock::now();
      sum_->wait();
      clock_.seconds_ += seconds_since(start);
    }

   private:
    GradientClock& clock_;
    std::unique_ptr<PendingSum> sum_;
  };

  [[nodiscard]] bool is_of_a_gradient(const torch::Tensor& tensor) const {
    return std::ranges::any_of(
        gradients_, [&](const torch::Tensor& gradient) { return tensor.is_alias_of(gradient); });
  }

  Communicator& ranks_;
  std::vector<torch::Tensor> gradients_;
  double seconds_ = 0;
};

}  // namespace gondola
