#include "trainer/coordinates/grid.hpp"

namespace gondola {
namespace {

torch::Tensor axis(std::int64_t size, const torch::TensorOptions& options) {
  return torch::linspace(-1, 1, size, options.dtype(torch::kFloat64));  // [size]; one point: -1
}

}  // namespace

Coordinates full_grid(std::int64_t height, std::int64_t width,
                      const torch::TensorOptions& options) {
  const auto rows = axis(height, options).view({height, 1}).expand({height, width});
  const auto columns = axis(width, options).view({1, width}).expand({height, width});
  const auto points = torch::stack({rows, columns}, -1).view({height * width, 2});  // [N, 2]
  return {.points = points.to(options), .index = {}, .height = height, .width = width};
}

Coordinates subset_of(const Coordinates& grid, const torch::Tensor& index) {
  TORCH_CHECK(!grid.index.defined(), "a subset is taken of a full grid");
  return {.points = grid.points.index_select(0, index),
          .index = index,
          .height = grid.height,
          .width = grid.width};
}

Coordinates pixels_of_grid(std::int64_t height, std::int64_t width, const torch::Tensor& index,
                           const torch::TensorOptions& options) {
  const auto on_device = options.dtype(torch::kFloat64);
  const auto rows = axis(height, on_device).index_select(0, index.div(width, "floor"));
  const auto columns = axis(width, on_device).index_select(0, index.remainder(width));
  return {.points = torch::stack({rows, columns}, -1).to(options),
          .index = index,
          .height = height,
          .width = width};
}

torch::Tensor values_at(const torch::Tensor& images, const Coordinates& coordinates) {
  if (images.dim() == 3) {
    return images.narrow(2, coordinates.picked_at, coordinates.points.size(0));
  }
  TORCH_CHECK(images.dim() == 4 && images.size(2) == coordinates.height &&
                  images.size(3) == coordinates.width,
              "images must be [B, C, ", coordinates.height, ", ", coordinates.width, "], got ",
              images.sizes());
  if (!coordinates.index.defined()) return images;
  return images.flatten(2).index_select(2, coordinates.index);
}

}  // namespace gondola
