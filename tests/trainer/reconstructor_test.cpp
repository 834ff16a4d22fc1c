#include "trainer/evaluation/reconstructor.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <memory>
#include <numeric>
#include <vector>

#include "configs/value_text.hpp"
#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "tests/trainer/trainee.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/kernels/matrix_product.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kBatch = 20;
constexpr ImageShape kShape{.channels = 1, .height = 16, .width = 16};

/// A model after a few training steps, in float32, and 1000 images.
class ReconstructorTest : public testing::Test {
 protected:
  static RunConfig config_of(DecoderKind kind) {
    auto config = small_config(kind, Precision::kFloat32);
    config.latent.step_size = 0;  // auto
    config.trainer.batch_size = kBatch;
    return config;
  }

  TestTrainee& train(const RunConfig& config) {
    trainee = std::make_unique<TestTrainee>(config, kShape, MPI_COMM_SELF);
    for (std::int64_t number = 1; number <= 30; ++number) {
      static_cast<void>(trainee->step(read_pixels(*source, kBatch * number, kBatch), number, 3e-3));
    }
    return *trainee;
  }

  Reconstructor reconstructor(const RunConfig& config) const {
    return {config, trainee->decoder(), *trainee->model.objective,
            mean_image_of(*source, torch::kFloat32)};
  }

  Prediction reconstruct(const Reconstructor& with, std::int64_t first, std::int64_t count) const {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    return with.reconstruct(images.narrow(0, first, count), ids);
  }

  /// Largest difference of an image's latent and decoding between batches of 1, 7 and 1000.
  double dependence_on_neighbours(const Reconstructor& with) const {
    const auto all = reconstruct(with, 0, 1000);
    double worst = 0;
    for (const std::int64_t count : {1, 7}) {
      for (const std::int64_t first : {0, 3, 993}) {
        const auto some = reconstruct(with, first, count);
        worst = std::max({worst, relative_error(some.latents, all.latents.narrow(0, first, count)),
                          relative_error(some.images, all.images.narrow(0, first, count))});
      }
    }
    return worst;
  }

  std::unique_ptr<ImageSource> source =
      open_source("synthetic:1000x1x16x16", Split::kTrain, CacheKind::kNone);
  torch::Tensor images = to_values(read_pixels(*source, 0, 1000), torch::kFloat32, torch::kCPU);
  std::unique_ptr<TestTrainee> trainee;
};

class ReconstructorByEachLibrary : public ReconstructorTest,
                                   public testing::WithParamInterface<Matmul> {
 protected:
  void SetUp() override {
    if (GetParam() == Matmul::kOneDnn && !is_available(ProductLibrary::kOneDnn)) {
      GTEST_SKIP() << "this libtorch has no oneDNN";
    }
  }
};

TEST_P(ReconstructorByEachLibrary, with_batch_norm_an_image_does_not_depend_on_its_neighbours) {
  auto config = config_of(DecoderKind::kConv);
  config.trainer.matmul = GetParam();
  train(config);
  const auto with = reconstructor(config);
  EXPECT_TRUE(with.independent());
  EXPECT_EQ(with.description(),
            "each image by itself: mean training image at the origin, running averages in the "
            "decoder");
  EXPECT_LE(dependence_on_neighbours(with), 1e-6);
}

TEST_P(ReconstructorByEachLibrary, with_a_siren_an_image_does_not_depend_on_its_neighbours) {
  auto config = config_of(DecoderKind::kSiren);
  config.trainer.matmul = GetParam();
  train(config);
  EXPECT_EQ(reconstructor(config).description(), "each image by itself");
  EXPECT_LE(dependence_on_neighbours(reconstructor(config)), 1e-6);
  // Several steps and random origins, keyed by the image's id, change nothing about that.
  config.latent.steps = 3;
  config.latent.update = LatentUpdate::kDescent;
  config.latent.origin_stddev = 0.1;
  EXPECT_TRUE(reconstructor(config).independent());
  EXPECT_LE(dependence_on_neighbours(reconstructor(config)), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Reconstructor, ReconstructorByEachLibrary,
                         testing::Values(Matmul::kAten, Matmul::kOneDnn),
                         [](const auto& param) { return to_text(param.param); });

TEST_F(ReconstructorTest, the_mean_training_image_encodes_as_training_does) {
  // One step on the whole training set as one batch sees the same mean image.
  const auto config = config_of(DecoderKind::kConv);
  train(config);
  auto batch = config;
  batch.evaluation.statistics = EvaluationStatistics::kBatch;
  const auto with_mean = reconstruct(reconstructor(config), 0, 1000);
  const auto with_batch = reconstruct(reconstructor(batch), 0, 1000);
  EXPECT_LE(relative_error(with_mean.latents, with_batch.latents), 1e-5);
}

TEST_F(ReconstructorTest, batch_statistics_depend_on_the_group_and_say_so) {
  auto config = config_of(DecoderKind::kConv);
  train(config);
  config.evaluation.statistics = EvaluationStatistics::kBatch;
  config.evaluation.group_images = 40;
  const auto with = reconstructor(config);
  EXPECT_FALSE(with.independent());
  EXPECT_EQ(with.description(),
            "batch statistics of id-ordered groups of 40 images: an image's latent depends on its "
            "group");
  EXPECT_GE(dependence_on_neighbours(with), 1e-3);
}

TEST_F(ReconstructorTest, other_encodings_under_batch_norm_are_not_called_independent) {
  auto config = config_of(DecoderKind::kConv);
  train(config);
  auto several = config;
  several.latent.steps = 2;
  EXPECT_FALSE(reconstructor(several).independent());
  auto random = config;
  random.latent.origin_stddev = 0.1;
  EXPECT_FALSE(reconstructor(random).independent());
  auto without_batch_norm = several;
  without_batch_norm.model.batch_norm = BatchNormMode::kNone;
  train(without_batch_norm);
  EXPECT_TRUE(reconstructor(without_batch_norm).independent());
}

TEST_F(ReconstructorTest, a_siren_decodes_at_other_coordinates) {
  const auto config = config_of(DecoderKind::kSiren);
  train(config);
  const auto with = reconstructor(config);
  const auto fine = full_grid(31, 31, torch::kFloat32);
  const auto latents = reconstruct(with, 0, 2).latents;
  const auto larger = with.decode(latents, &fine);
  EXPECT_EQ(larger.sizes().vec(), (std::vector<std::int64_t>{2, 1, 31, 31}));
  using torch::indexing::Slice;
  EXPECT_LE(relative_error(larger.index({Slice(), Slice(), Slice(0, 31, 2), Slice(0, 31, 2)}),
                           with.decode(latents)),
            1e-5);
  EXPECT_FALSE(larger.requires_grad());
}

TEST_F(ReconstructorTest, batch_norm_without_the_mean_image_is_refused) {
  const auto config = config_of(DecoderKind::kConv);
  train(config);
  EXPECT_THROW(Reconstructor(config, trainee->decoder(), *trainee->model.objective, {}),
               c10::Error);
}

}  // namespace
}  // namespace gondola
