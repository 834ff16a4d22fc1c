#pragma once

#include <memory>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/latent/latent_table.hpp"
#include "trainer/objectives/objective.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// How latents of unseen images are looked for: that many steps of Adam from 0 at fixed weights.
struct LatentSearch {
  std::int64_t steps = 0;
  double learning_rate = 0;
};

/// `glo`: one latent for each training image, optimised along with the weights.
class LatentOptimisation final : public Objective {
 public:
  /// @param table nullptr: for use outside training only. @param communicator of the ranks that
  /// share a batch; nullptr: one rank.
  LatentOptimisation(std::unique_ptr<LatentTable> table, const LatentSearch& search,
                     const OptimizerSection& optimizer, Decoder& decoder, double scale,
                     Communicator* communicator)
      : table_(std::move(table)),
        search_(search),
        optimizer_(optimizer),
        decoder_(decoder),
        scale_(scale),
        communicator_(communicator) {}

  /// Collective. Needs the ids of the whole global batch.
  [[nodiscard]] Losses losses(const ObjectiveBatch& batch, const Passes& passes,
                              PhaseTimer* timer) override;
  [[nodiscard]] bool takes_bytes() const override { return decoder_.takes_bytes(); }
  [[nodiscard]] double scale() const override { return scale_; }
  [[nodiscard]] torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) override;
  [[nodiscard]] torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override;
  [[nodiscard]] std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                                             const ObjectiveBatch& batch,
                                                             const Pass& pass) override;
  [[nodiscard]] bool encodes_at_origin() const override { return false; }
  [[nodiscard]] std::string loss_in_words() const override { return "squared error per image"; }

  void update(const torch::Tensor& skip) override;
  [[nodiscard]] std::map<std::string, torch::Tensor> gather_state() override;
  void restore_state(const ReadState& read) override {
    if (table_) table_->restore(read);
  }

 private:
  std::unique_ptr<LatentTable> table_;
  LatentSearch search_;
  OptimizerSection optimizer_;
  Decoder& decoder_;
  double scale_;
  Communicator* communicator_;

  // Of the step in progress.
  std::vector<std::int64_t> ids_;  ///< Of the whole batch.
  std::int64_t first_ = 0;
  torch::Tensor latents_;  ///< A leaf: this rank's, [B, k(, s, s)].
};

}  // namespace gondola
