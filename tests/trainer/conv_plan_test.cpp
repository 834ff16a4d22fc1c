#include "trainer/decoders/conv_plan.hpp"

#include <gtest/gtest.h>

#include "configs/errors.hpp"

namespace gondola {
namespace {

/// The side of the image that a plan makes from a latent map.
std::int64_t side_of(const std::vector<ConvLayer>& plan, std::int64_t spatial) {
  auto side = spatial;
  for (const auto& layer : plan)
    side = (side - 1) * layer.stride - 2 * layer.padding + layer.kernel;
  return side;
}

TEST(ConvPlan, makes_every_supported_size_from_every_latent_map) {
  for (const std::int64_t size : {16, 28, 32, 64, 128, 256}) {
    for (const std::int64_t spatial : {1, 2, 4, 8}) {
      if (size == 28 && spatial == 8) continue;
      EXPECT_EQ(side_of(conv_plan(32, spatial, 16, 3, size), spatial), size)
          << size << " from " << spatial;
    }
  }
}

TEST(ConvPlan, is_the_published_one_for_32_pixels) {
  const std::vector<ConvLayer> expected = {
      {32, 64, 4, 1, 0}, {64, 32, 4, 2, 1}, {32, 16, 4, 2, 1}, {16, 1, 4, 2, 1}};
  EXPECT_EQ(conv_plan(32, 1, 16, 1, 32), expected);
}

TEST(ConvPlan, refuses_sizes_it_cannot_make) {
  for (const std::int64_t size : {0, 1, 4, 30, 33, 48, 100}) {
    EXPECT_THROW((void)conv_plan(32, 1, 16, 1, size), ConfigError) << size;
  }
  EXPECT_THROW((void)conv_plan(32, 8, 16, 1, 28), ConfigError);
}

}  // namespace
}  // namespace gondola
