#include "trainer/decoders/conv_plan.hpp"

#include <string>

#include "configs/errors.hpp"

namespace gondola {
namespace {

/// Sides after each layer, from the latent map to the image, e.g. 1 4 8 16 32.
std::vector<std::int64_t> sides(std::int64_t spatial, std::int64_t size) {
  const std::vector<std::int64_t> to_28 = {28, 14, 7, 4};
  std::vector<std::int64_t> down;
  if (size < 16) return {};
  if (size == 28) {
    down = to_28;
  } else {
    for (std::int64_t side = size; side >= 4 && side % 2 == 0; side /= 2) down.push_back(side);
  }
  if (down.empty() || down.back() != 4) return {};
  if (spatial == 2) down.push_back(2);
  if (spatial == 1) down.push_back(1);
  while (!down.empty() && down.back() < spatial) down.pop_back();
  if (down.size() < 2 || down.back() != spatial) return {};
  return {down.rbegin(), down.rend()};
}

}  // namespace

std::vector<ConvLayer> conv_plan(std::int64_t latent_size, std::int64_t spatial,
                                 std::int64_t filters, std::int64_t channels, std::int64_t size) {
  const auto side = sides(spatial, size);
  if (side.empty()) {
    throw ConfigError(
        "a convolutional decoder makes square images of 16, 28, 32, 64, 128 or 256 pixels from "
        "latent maps of 1, 2, 4 or 8, not " +
        std::to_string(size) + " from " + std::to_string(spatial) +
        "; import the images with --size 32, or change latent.spatial");
  }
  const auto layers = side.size() - 1;
  std::vector<ConvLayer> plan(layers);
  std::int64_t in = latent_size;
  for (std::size_t i = 0; i < layers; ++i) {
    const bool last = i + 1 == layers;
    const std::int64_t out = last ? channels : filters << (layers - 2 - i);
    plan[i] = {.in = in, .out = out};
    if (side[i] == 1) plan[i] = {.in = in, .out = out, .kernel = 4, .stride = 1, .padding = 0};
    if (side[i] == 4 && side[i + 1] == 7) plan[i].kernel = 3;
    in = out;
  }
  return plan;
}

}  // namespace gondola
