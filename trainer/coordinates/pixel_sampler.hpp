#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "configs/run_config.hpp"

namespace gondola {

/// Which of the draws is meant: a pure function of these and of the seed, the same on all ranks.
struct DrawKey {
  std::int64_t batch = 0;   ///< Global batches before this one.
  std::int64_t repeat = 0;  ///< 0 for the draw that is trained with; others measure its spread.
};

/// Draws M of the N = H W pixels of an image. Every pixel is as likely as every other one to be any
/// of the M, so that N/M times a sum over the drawn pixels has the sum over all as its mean:
///
/// uniform     without replacement;
/// stratified  one in each of a x b = M rectangles of equal area, anywhere in it;
/// sobol       M points of a Sobol sequence under a random linear scrambling and a random shift
///             (Matousek 1998), rounded down to pixels; a pixel may come twice.
class PixelSampler {
 public:
  /// @param purpose keeps draws for different passes apart. REQUIRES a set that
  /// coordinate_set_problem() has nothing against.
  PixelSampler(const CoordinateSet& set, std::int64_t height, std::int64_t width,
               std::uint64_t seed, std::string purpose);

  /// Row-major pixels [M].
  [[nodiscard]] std::vector<std::int64_t> draw(DrawKey key) const;
  /// N / M.
  [[nodiscard]] double weight() const;

 private:
  [[nodiscard]] at::Generator generator(DrawKey key) const;
  [[nodiscard]] torch::Tensor stratified_points(DrawKey key) const;
  [[nodiscard]] torch::Tensor sobol_points(DrawKey key) const;

  CoordinateSet set_;
  std::int64_t height_, width_;
  std::uint64_t seed_;
  std::string purpose_;
  torch::Tensor directions_;  ///< sobol: direction numbers before they are scrambled, [2, 30].
};

}  // namespace gondola
