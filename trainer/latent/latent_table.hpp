#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// One latent for each training image with its own state of Adam, sharded over the ranks: rank r
/// has the images [rN/W, (r+1)N/W). N images.
///
/// A row's moments and its number of updates move only when its image is in a batch, so that a row
/// seen for the first time late in training still makes a first step.
class LatentTable {
 public:
  /// Rows are standard normal, keyed by (seed, image id): the same for any number of ranks.
  /// @param communicator nullptr: one rank. Outlives this.
  LatentTable(std::int64_t images, std::vector<std::int64_t> latent_shape,
              const OptimizerSection& optimizer, double learning_rate, std::uint64_t seed,
              const torch::TensorOptions& options, Communicator* communicator);

  /// Collective. The rows of these images, on every rank: [ids.size(), k(, s, s)].
  [[nodiscard]] torch::Tensor fetch(std::span<const std::int64_t> ids) const;

  /// One step of Adam on the rows of these images. @param gradient [ids.size(), k(, s, s)], the
  /// same on all ranks. @param skip 0-dim: nothing changes where it is 1.
  void update(std::span<const std::int64_t> ids, const torch::Tensor& gradient,
              const torch::Tensor& skip);

  /// Collective. The whole table by name ("rows", "first_moment", "second_moment", "updates"), on
  /// rank 0 only; empty elsewhere.
  [[nodiscard]] std::map<std::string, torch::Tensor> gather() const;
  /// @param read the whole tensor of that name and shape.
  void restore(
      const std::function<torch::Tensor(const std::string& name, at::IntArrayRef shape)>& read);

 private:
  /// Of the given ids, those of this rank: where they stand in the list, and which rows they are.
  struct Own {
    torch::Tensor places;  ///< [n]
    torch::Tensor rows;    ///< [n]
  };
  [[nodiscard]] Own own(std::span<const std::int64_t> ids) const;
  [[nodiscard]] std::vector<std::int64_t> shape_of(std::int64_t rows) const;

  std::int64_t images_;
  std::vector<std::int64_t> latent_shape_;
  OptimizerSection optimizer_;
  double learning_rate_;
  Communicator* communicator_;
  std::int64_t first_ = 0;  ///< The first image of this rank.
  torch::Tensor rows_;      ///< [own images, k(, s, s)], as are the moments.
  torch::Tensor first_moment_;
  torch::Tensor second_moment_;
  torch::Tensor updates_;  ///< [own images]
};

}  // namespace gondola
