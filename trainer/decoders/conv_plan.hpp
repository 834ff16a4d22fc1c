#pragma once

#include <cstdint>
#include <vector>

namespace gondola {

/// One transposed convolution.
struct ConvLayer {
  std::int64_t in = 0, out = 0, kernel = 4, stride = 2, padding = 1;
  bool operator==(const ConvLayer&) const = default;
};

/// The layers that turn a latent of `latent_size` channels on a spatial x spatial map into a size x
/// size image of `channels`: a 1x1 latent first grows to 4x4, then every layer doubles; filters
/// halve towards the image, the last hidden layer having `filters`. 28 pixels: 4 -> 7 -> 14 -> 28.
/// @throws ConfigError for sizes that no such plan makes.
[[nodiscard]] std::vector<ConvLayer> conv_plan(std::int64_t latent_size, std::int64_t spatial,
                                               std::int64_t filters, std::int64_t channels,
                                               std::int64_t size);

}  // namespace gondola
