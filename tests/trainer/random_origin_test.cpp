#include "trainer/latent/random_origin.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <numeric>
#include <vector>

namespace gondola {
namespace {

class RandomOrigins : public testing::Test {
 protected:
  static torch::Tensor draw(const std::vector<std::int64_t>& ids, std::uint64_t seed = 1,
                            std::string_view purpose = "origin", std::int64_t step = 5) {
    return random_origins({3, 2, 2}, ids, 0.5, seed, purpose, step, torch::kFloat64);
  }
};

TEST_F(RandomOrigins, are_keyed_by_the_image_and_not_by_its_place_in_the_batch) {
  const auto all = draw({7, 2, 40});
  EXPECT_EQ(all.sizes().vec(), (std::vector<std::int64_t>{3, 3, 2, 2}));
  EXPECT_TRUE(draw({40})[0].equal(all[2]));
  EXPECT_TRUE(draw({2, 7})[1].equal(all[0]));
  EXPECT_FALSE(all[0].equal(all[1]));
  EXPECT_EQ(draw({}).size(0), 0);
}

TEST_F(RandomOrigins, change_with_seed_purpose_and_step) {
  const auto base = draw({7});
  EXPECT_TRUE(draw({7}).equal(base));
  EXPECT_FALSE(draw({7}, 2).equal(base));
  EXPECT_FALSE(draw({7}, 1, "evaluation origin").equal(base));
  EXPECT_FALSE(draw({7}, 1, "origin", 6).equal(base));
}

TEST_F(RandomOrigins, are_normal_with_the_asked_spread) {
  std::vector<std::int64_t> ids(2000);
  std::iota(ids.begin(), ids.end(), 0);
  const auto values = random_origins({8}, ids, 0.5, 1, "origin", 1, torch::kFloat32);
  EXPECT_EQ(values.scalar_type(), torch::kFloat32);
  EXPECT_NEAR(values.mean().item<double>(), 0, 0.02);
  EXPECT_NEAR(values.std().item<double>(), 0.5, 0.02);
  EXPECT_NEAR(values.abs().lt(0.5).to(torch::kFloat64).mean().item<double>(), 0.683, 0.02);
}

}  // namespace
}  // namespace gondola
