#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/bad_step.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/train_step.hpp"

namespace gondola {

/// Finds the bad ones among the steps that were done, and what was wrong with them. Whether a step
/// was bad is known on the device, alike on all ranks; the rest is asked of the ranks in the bad
/// case only.
class StepWatch {
 public:
  /// Steps that are kept at most before they are read.
  static constexpr std::size_t kMostWaiting = 256;

  /// @param ids those of a whole global batch. All outlive this.
  StepWatch(const RunConfig& config, const torch::Tensor& weights, Communicator& control,
            std::function<std::vector<std::int64_t>(Cursor)> ids);

  /// A step that was just done. Does not wait for the device.
  void add(std::int64_t step, Cursor cursor, const StepResult& result);
  [[nodiscard]] bool full() const { return waiting_.size() >= kMostWaiting; }

  /// Collective. The bad ones among the steps added since the last call, in their order; waits for
  /// the device.
  [[nodiscard]] std::vector<BadStep> take();

  /// Positions in a global batch that are this rank's.
  [[nodiscard]] Slice own_positions() const;

 private:
  struct Waiting {
    std::int64_t step = 0;
    Cursor cursor;
    torch::Tensor bad;                        ///< 0-dim
    torch::Tensor gradient_norm;              ///< 0-dim
    torch::Tensor own_sum;                    ///< 0-dim
    std::vector<torch::Tensor> image_losses;  ///< [B] in all
  };

  [[nodiscard]] torch::Tensor own_findings(const std::vector<const Waiting*>& bad) const;
  void read_findings(const std::int64_t* findings, BadStep& bad) const;

  const RunConfig& config_;
  const torch::Tensor weights_;
  Communicator& control_;
  std::function<std::vector<std::int64_t>(Cursor)> ids_;
  std::vector<Waiting> waiting_;
  std::int64_t in_a_row_ = 0;
};

}  // namespace gondola
