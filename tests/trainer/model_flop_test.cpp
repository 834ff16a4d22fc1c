#include "trainer/model_flop.hpp"

#include <gtest/gtest.h>

namespace gondola {
namespace {

RunConfig config_of(DecoderKind decoder) {
  RunConfig config;
  config.model.decoder = decoder;
  config.latent.size = 32;
  return config;
}

TEST(ModelFlop, of_a_siren_is_three_passes_over_its_layers_at_each_coordinate) {
  auto config = config_of(DecoderKind::kSiren);
  config.model.hidden = 256;
  config.model.layers = 4;
  const ImageShape shape{.channels = 1, .height = 28, .width = 28};
  const double weights = 2 * 256 + 3 * 256 * 256 + 256;  // that meet a coordinate
  EXPECT_DOUBLE_EQ(flop_per_image(config, shape), 3 * 2 * weights * 784);

  config.coordinates.outer = {.sampler = CoordinateSampler::kSobol, .count = 100};
  EXPECT_DOUBLE_EQ(flop_per_image(config, shape), 3 * 2 * weights * 100);
}

TEST(ModelFlop, of_the_published_convolutions_is_that_of_their_kernels) {
  auto config = config_of(DecoderKind::kConv);
  config.model.filters = 16;
  const ImageShape shape{.channels = 1, .height = 32, .width = 32};
  // 32 -> 64 at 1x1, 64 -> 32 at 4x4, 32 -> 16 at 8x8, 16 -> 1 at 16x16; kernels of 4x4.
  const double forward = 2.0 * 16 * (32 * 64 + 64 * 32 * 16 + 32 * 16 * 64 + 16 * 1 * 256);
  EXPECT_DOUBLE_EQ(flop_per_image(config, shape), 3 * forward);

  config.model.family = Family::kVae;
  EXPECT_DOUBLE_EQ(flop_per_image(config, shape), 6 * forward);
}

}  // namespace
}  // namespace gondola
