#pragma once

#include <torch/types.h>

#include <cstdint>

namespace gondola {

class Communicator;

/// The points at which an implicit model is evaluated: a full image grid or a list of its pixels.
struct Coordinates {
  torch::Tensor points;     ///< [N, 2] (row, column), each axis in [-1, 1].
  torch::Tensor index;      ///< [N] i64 row-major pixels, or undefined for the full grid.
  std::int64_t height = 0;  ///< Of the full grid.
  std::int64_t width = 0;
  double weight = 1;           ///< What sums over the points are multiplied with: pixels / drawn.
  std::int64_t picked_at = 0;  ///< Where their values begin in images that were read in part.
  Communicator* group = nullptr;  ///< Ranks that have the other points of the same images; or this
                                  ///< rank has all of them.
};

/// Every pixel of an H x W image in row-major order; each axis is linspace(-1, 1) with both ends, a
/// single pixel at -1.
[[nodiscard]] Coordinates full_grid(std::int64_t height, std::int64_t width,
                                    const torch::TensorOptions& options);
/// The listed pixels of a full grid.
[[nodiscard]] Coordinates subset_of(const Coordinates& grid, const torch::Tensor& index);
/// The listed pixels of an H x W image, index [N] i64, without its whole grid.
[[nodiscard]] Coordinates pixels_of_grid(std::int64_t height, std::int64_t width,
                                         const torch::Tensor& index,
                                         const torch::TensorOptions& options);
/// images [B, C, H, W] at the coordinates: themselves for a full grid, else [B, C, N]. Or images
/// read in part, [B, C, K], of which they take N from `picked_at` on.
[[nodiscard]] torch::Tensor values_at(const torch::Tensor& images, const Coordinates& coordinates);

}  // namespace gondola
