#include "trainer/device_cache.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <vector>

#include "data/batch_loader.hpp"

namespace gondola {
namespace {

class DeviceCacheTest : public testing::Test {
 protected:
  std::unique_ptr<ImageSource> source =
      open_source("synthetic:60x3x6x5", Split::kTrain, CacheKind::kNone);
  DeviceCache cache{*source, torch::kCPU};
};

TEST_F(DeviceCacheTest, any_ids_in_any_order_give_the_sources_pixels) {
  const std::vector<std::int64_t> ids = {59, 0, 17, 17, 3};
  auto expected = torch::empty({5, 3, 6, 5}, torch::kUInt8);
  source->read(ids,
               {expected.data_ptr<std::uint8_t>(), static_cast<std::size_t>(expected.numel())});
  EXPECT_TRUE(cache.gather(ids).equal(expected));
  EXPECT_EQ(cache.gather({}).size(0), 0);
}

TEST_F(DeviceCacheTest, training_from_the_cache_sees_the_batches_of_the_loader) {
  const auto without = without_pixels(*source);
  const LoaderOptions options{.seed = 3, .batch_size = 13, .rank = 1, .world = 3};
  BatchLoader with_pixels(*source, options);
  BatchLoader ids_only(*without, options);
  for (int batch = 0; batch < 9; ++batch) {  // over two ends of an epoch
    const auto expected = with_pixels.next();
    const auto actual = ids_only.next();
    ASSERT_EQ(actual.images, expected.images);
    EXPECT_TRUE(std::equal(actual.ids.begin(), actual.ids.end(), expected.ids.begin()));
    EXPECT_TRUE(std::equal(actual.labels.begin(), actual.labels.end(), expected.labels.begin(),
                           expected.labels.end()));
    const auto pixels = torch::from_blob(const_cast<std::uint8_t*>(expected.pixels.data()),
                                         {expected.images, 3, 6, 5}, torch::kUInt8);
    EXPECT_TRUE(cache.gather(actual.ids).equal(pixels));
  }
}

}  // namespace
}  // namespace gondola
