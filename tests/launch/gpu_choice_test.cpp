#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "launch/device_binding.hpp"

namespace gondola {
namespace {

TEST(GpuChoiceTest, where_all_gpus_are_visible_a_rank_takes_the_one_of_its_local_rank) {
  EXPECT_EQ(gpu_of_rank(4, 0, 4), 0);
  EXPECT_EQ(gpu_of_rank(4, 3, 4), 3);
  EXPECT_EQ(gpu_of_rank(4, 1, 2), 1);
}

TEST(GpuChoiceTest, where_one_is_visible_it_is_taken) { EXPECT_EQ(gpu_of_rank(1, 3, 4), 0); }

TEST(GpuChoiceTest, a_graph_needs_a_gpu_and_statistics_of_one_rank) {
  const auto said = [](const RunConfig& config, torch::Device device, int world) {
    try {
      check_graph(config, device, world);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const torch::Device gpu(torch::kCUDA, 0);
  RunConfig config;
  config.model.decoder = DecoderKind::kConv;
  config.model.batch_norm = BatchNormMode::kSync;
  EXPECT_EQ(said(config, torch::kCPU, 4), "");
  config.trainer.cuda_graph = true;
  EXPECT_THAT(said(config, torch::kCPU, 1), testing::HasSubstr("needs a GPU"));
  EXPECT_EQ(said(config, gpu, 1), "");
  EXPECT_THAT(said(config, gpu, 4), testing::HasSubstr("model.batch_norm = sync on 4 ranks"));
  config.model.decoder = DecoderKind::kSiren;
  EXPECT_EQ(said(config, gpu, 4), "");
}

TEST(GpuChoiceTest, more_ranks_than_gpus_are_refused) {
  try {
    static_cast<void>(gpu_of_rank(2, 0, 3));
    FAIL() << "nothing was thrown";
  } catch (const WorldError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("3 ranks"));
    EXPECT_THAT(error.what(), testing::HasSubstr("2 visible GPUs"));
  }
}

TEST(GpuChoiceTest, two_ranks_on_one_gpu_are_refused_by_name) {
  const std::vector<GpuOfRank> apart{{4, "0000:01:00.0"}, {5, "0000:02:00.0"}};
  EXPECT_NO_THROW(refuse_shared_gpus(apart));
  const std::vector<GpuOfRank> shared{
      {4, "0000:01:00.0"}, {5, "0000:02:00.0"}, {6, "0000:01:00.0"}};
  try {
    refuse_shared_gpus(shared);
    FAIL() << "nothing was thrown";
  } catch (const WorldError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("ranks 4 and 6 share the GPU 0000:01:00.0"));
  }
}

}  // namespace
}  // namespace gondola
