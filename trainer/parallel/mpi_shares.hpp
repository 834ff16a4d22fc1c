#pragma once

#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gondola {

/// A sum over W ranks of which every rank adds up its share, in rank order: each sends the others
/// their shares of its values (all-to-all), adds up the W that came to it, and sends the result to
/// all (all-gather). So each element is added up once, at one place, and has the same bits on every
/// rank and however the values are cut.
struct MpiShares {
  /// Of `count` values, fewer than 2^31.
  MpiShares(std::int64_t count, int rank, int size);

  /// The share of this rank in `values` [count] becomes the sum of `parts` [W, own].
  void add_up(const torch::Tensor& values, const torch::Tensor& parts) const;
  [[nodiscard]] torch::Tensor own_of(const torch::Tensor& values) const {
    return values.narrow(0, starts[own_rank], own());
  }
  [[nodiscard]] int own() const { return counts[own_rank]; }

  std::size_t own_rank;
  std::vector<int> counts;      ///< Values of the share of rank r, [W].
  std::vector<int> starts;      ///< Where it begins, [W].
  std::vector<int> own_counts;  ///< own(), [W].
  std::vector<int> rows;        ///< Where the rows of the parts begin, [W].
};

}  // namespace gondola
