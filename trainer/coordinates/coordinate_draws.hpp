#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/coordinates/grid.hpp"
#include "trainer/coordinates/pixel_sampler.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Where the passes of one training step look. A set that is not drawn is the whole grid: its
/// points are undefined, and the pass is given no coordinates.
struct StepCoordinates {
  Coordinates inner;
  Coordinates outer;

  [[nodiscard]] const Coordinates* inner_or_grid() const {
    return inner.points.defined() ? &inner : nullptr;
  }
  [[nodiscard]] const Coordinates* outer_or_grid() const {
    return outer.points.defined() ? &outer : nullptr;
  }
};

/// The Monte Carlo coordinates of a run (`coordinates.inner`, `coordinates.outer`): one set for all
/// images of a batch, another for each batch, the same on all ranks (C9). Where ranks share images
/// (`parallel.coordinate_ranks`), each takes a contiguous part of every set, drawn or whole.
class CoordinateDraws {
 public:
  /// @param group of the ranks that share images; nullptr: none do.
  CoordinateDraws(const CoordinatesSection& config, std::int64_t height, std::int64_t width,
                  std::uint64_t seed, Communicator* group);

  /// Whether any set is drawn.
  [[nodiscard]] bool any() const { return inner_ || outer_; }
  /// Whether both are, so that no pass needs whole images. The pixels of both, the inner set's
  /// first, are then all that is read.
  [[nodiscard]] bool all() const { return inner_ && outer_; }

  /// REQUIRES all(). Thread-safe. This rank's row-major pixels [picked_pixels()].
  [[nodiscard]] std::vector<std::int64_t> pixels(DrawKey key) const;
  [[nodiscard]] std::int64_t picked_pixels() const;

  /// @param options of the points.
  [[nodiscard]] StepCoordinates at(DrawKey key, const torch::TensorOptions& options) const;

 private:
  [[nodiscard]] std::vector<std::int64_t> own_pixels(const std::optional<PixelSampler>& sampler,
                                                     DrawKey key) const;
  [[nodiscard]] std::int64_t own_count(const CoordinateSet& set) const;

  CoordinatesSection config_;
  std::int64_t height_, width_;
  Communicator* group_;
  std::optional<PixelSampler> inner_, outer_;
};

}  // namespace gondola
