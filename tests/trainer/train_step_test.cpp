#include "trainer/train_step.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/optim/adam.h>
#include <torch/types.h>

#include <limits>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "tests/trainer/trainee.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/latent/random_origin.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kBatch = 10;  // not divisible by 3 or 4

ImageShape shape_for(DecoderKind kind) {
  const std::int64_t side = kind == DecoderKind::kConv ? 16 : 6;
  return {.channels = 2, .height = side, .width = side};
}

RunConfig config_for(DecoderKind kind, BatchNormMode batch_norm = BatchNormMode::kSync) {
  auto config = small_config(kind);
  config.model.batch_norm = batch_norm;
  config.latent.step_size = 0;  // auto
  config.trainer.batch_size = kBatch;
  return config;
}

/// The pixels of global batch `number`.
torch::Tensor batch_of(DecoderKind kind, std::int64_t number) {
  const auto shape = shape_for(kind);
  return torch::randint(0, 256, {kBatch, shape.channels, shape.height, shape.width},
                        at::detail::createCPUGenerator(static_cast<std::uint64_t>(number)),
                        torch::kUInt8);
}

class EachDecoder : public testing::TestWithParam<DecoderKind> {};

TEST_P(EachDecoder, a_step_is_adam_on_the_mean_of_the_images_losses) {
  const auto kind = GetParam();
  auto config = config_for(kind);
  TestTrainee trainee(config, shape_for(kind), MPI_COMM_WORLD);

  // The same on one rank, spelled out.
  const auto shape = shape_for(kind);
  const auto decoder = make_decoder(config, shape, torch::kCPU, nullptr);
  auto& parameters = decoder->parameters();
  std::vector<torch::Tensor> tensors;
  for (std::size_t i = 0; i < parameters.count(); ++i) tensors.push_back(parameters[i]);
  torch::optim::Adam adam(tensors, torch::optim::AdamOptions(1e-3));
  const double terms = static_cast<double>(
      kind == DecoderKind::kConv ? kBatch * shape.height * shape.width : kBatch * shape.channels);
  const LatentEncoder encoder(config.latent, 1 / terms);

  for (std::int64_t number = 1; number <= 5; ++number) {
    const auto batch = batch_of(kind, number);
    const auto result = trainee.step(batch, number);

    const auto images = batch.to(torch::kFloat64) / 255;
    const auto encoding = encoder.encode(*decoder,
                                         {.images = images,
                                          .mean_image = images.mean(0, /*keepdim=*/true),
                                          .global_images = kBatch,
                                          .origin = {}},
                                         LatentEncoder::Graph::kKeep, {});
    const auto loss = (decoder->decode(encoding.latents, {}) - images).square().sum();
    parameters.zero_gradient();
    (loss / terms).backward();
    const auto norm = parameters.flat_gradient().norm();
    adam.step();

    const auto expected_sums =
        torch::stack({loss, encoding.inner_loss.sum(), encoding.latents.square().sum()});
    EXPECT_LE(relative_error(result.sums, expected_sums), 1e-11) << number;
    EXPECT_LE(relative_error(result.gradient_norm, norm), 1e-10) << number;
    EXPECT_EQ(result.skipped.item<float>(), 0);
  }
  EXPECT_LE(relative_error(trainee.weights(), parameters.flat()), 1e-9);
}

TEST_P(EachDecoder, accumulating_over_three_passes_gives_the_step_of_one_pass) {
  const auto kind = GetParam();
  auto config = config_for(kind, BatchNormMode::kNone);
  config.latent.origin_stddev = 0.1;
  TestTrainee at_once(config, shape_for(kind), MPI_COMM_WORLD);
  config.trainer.accumulate = 3;
  TestTrainee in_parts(config, shape_for(kind), MPI_COMM_WORLD);
  for (std::int64_t number = 1; number <= 5; ++number) {
    const auto batch = batch_of(kind, number);
    const auto expected = at_once.step(batch, number);
    const auto actual = in_parts.step(batch, number);
    EXPECT_LE(relative_error(actual.sums, expected.sums), 1e-12);
    EXPECT_LE(relative_error(actual.gradient_norm, expected.gradient_norm), 1e-12);
  }
  EXPECT_LE(relative_error(in_parts.weights(), at_once.weights()), 1e-10);
}

TEST_P(EachDecoder, clipping_scales_the_gradient_down_to_the_bound_and_no_further) {
  const auto kind = GetParam();
  auto config = config_for(kind);
  TestTrainee free(config, shape_for(kind), MPI_COMM_WORLD);
  const auto norm = free.step(batch_of(kind, 1), 1).gradient_norm.item<double>();
  const auto unclipped = free.parameters().flat_gradient().clone();
  EXPECT_NEAR(unclipped.norm().item<double>() / norm, 1, 1e-12);

  config.optimizer.clip_norm = norm / 4;
  TestTrainee clipped(config, shape_for(kind), MPI_COMM_WORLD);
  const auto result = clipped.step(batch_of(kind, 1), 1);
  EXPECT_NEAR(result.gradient_norm.item<double>() / norm, 1, 1e-12) << "reported before clipping";
  EXPECT_LE(relative_error(clipped.parameters().flat_gradient(), unclipped / 4), 1e-9);
  EXPECT_LE(relative_error(clipped.optimizer.first_moment(), 0.1 * unclipped / 4), 1e-9);

  config.optimizer.clip_norm = norm * 4;
  TestTrainee loose(config, shape_for(kind), MPI_COMM_WORLD);
  static_cast<void>(loose.step(batch_of(kind, 1), 1));
  EXPECT_TRUE(loose.parameters().flat_gradient().equal(unclipped));
}

TEST_P(EachDecoder, the_moving_average_follows_its_formula) {
  const auto kind = GetParam();
  auto config = config_for(kind);
  config.trainer.ema_decay = 0.7;
  TestTrainee trainee(config, shape_for(kind), MPI_COMM_WORLD);
  auto expected = trainee.weights().clone();
  for (std::int64_t number = 1; number <= 4; ++number) {
    static_cast<void>(trainee.step(batch_of(kind, number), number, 0.01));
    expected = 0.7 * expected + 0.3 * trainee.weights();
  }
  EXPECT_LE(relative_error(trainee.average, expected), 1e-14);
  EXPECT_GE(relative_error(trainee.weights(), expected), 1e-3);
}

TEST_P(EachDecoder, a_gradient_that_is_not_finite_changes_nothing_on_any_rank) {
  const auto kind = GetParam();
  auto config = config_for(kind);
  config.trainer.ema_decay = 0.5;
  config.optimizer.clip_norm = 1;
  TestTrainee trainee(config, shape_for(kind), MPI_COMM_WORLD);
  static_cast<void>(trainee.step(batch_of(kind, 1), 1));

  // Weights this large overflow when they are squared. From two ranks on, only on the last one.
  const auto good = trainee.weights().clone();
  if (trainee.communicator.rank() == trainee.communicator.size() - 1) trainee.weights().mul_(1e200);
  const auto weights = trainee.weights().clone();
  const auto first = trainee.optimizer.first_moment().clone();
  const auto second = trainee.optimizer.second_moment().clone();
  const auto moving_average = trainee.average.clone();
  std::vector<LayerStatistics> running;
  for (const auto& average : trainee.parameters().running_averages()) {
    running.push_back({.mean = average.mean.clone(), .variance = average.variance.clone()});
  }
  const auto result = trainee.step(batch_of(kind, 2), 2);
  EXPECT_EQ(result.skipped.item<float>(), 1);
  EXPECT_TRUE(trainee.weights().equal(weights));
  EXPECT_TRUE(trainee.optimizer.first_moment().equal(first));
  EXPECT_TRUE(trainee.optimizer.second_moment().equal(second));
  EXPECT_TRUE(trainee.average.equal(moving_average));
  EXPECT_EQ(trainee.optimizer.updates().item<float>(), 1);
  for (std::size_t i = 0; i < running.size(); ++i) {
    EXPECT_TRUE(trainee.parameters().running_averages()[i].mean.equal(running[i].mean)) << i;
    EXPECT_TRUE(trainee.parameters().running_averages()[i].variance.equal(running[i].variance))
        << i;
  }

  // With good weights again training goes on, and the skipped gradient left no trace.
  trainee.weights().copy_(good);
  const auto next = trainee.step(batch_of(kind, 3), 3);
  EXPECT_EQ(next.skipped.item<float>(), 0);
  EXPECT_FALSE(trainee.weights().equal(good));
  EXPECT_TRUE(trainee.weights().isfinite().all().item<bool>());
}

TEST_P(EachDecoder, bytes_given_to_the_all_reduce_are_those_of_the_gradient) {
  TestTrainee trainee(config_for(GetParam()), shape_for(GetParam()), MPI_COMM_WORLD);
  const auto result = trainee.step(batch_of(GetParam(), 1), 1);
  const auto all = trainee.weights().numel() * 8;
  EXPECT_EQ(result.bytes_reduced, trainee.communicator.size() == 1 ? 0 : all);
}

INSTANTIATE_TEST_SUITE_P(TrainStep, EachDecoder,
                         testing::Values(DecoderKind::kSiren, DecoderKind::kConv),
                         [](const auto& kind) {
                           return kind.param == DecoderKind::kSiren ? "siren" : "conv";
                         });

/// What is set beside the defaults of a latent section.
struct LatentCase {
  const char* name;
  std::int64_t steps = 1;
  bool detach = false;
  double origin_stddev = 0;
  LatentPath path = LatentPath::kAuto;
};

TEST(TrainStep, pixels_as_bytes_and_as_values_give_the_same_step) {
  const LatentCase cases[] = {{.name = "shared origin"},
                              {.name = "detached", .detach = true},
                              {.name = "three steps", .steps = 3},
                              {.name = "noise at the origin", .origin_stddev = 0.1},
                              {.name = "autograd", .path = LatentPath::kDoubleBackward}};
  for (const auto& latent : cases) {
    SCOPED_TRACE(latent.name);
    auto config = config_for(DecoderKind::kSiren);
    config.trainer.precision = Precision::kFloat32;
    config.latent.steps = latent.steps;
    config.latent.detach = latent.detach;
    config.latent.origin_stddev = latent.origin_stddev;
    config.latent.path = latent.path;
    TestTrainee of_bytes(config, shape_for(DecoderKind::kSiren), MPI_COMM_WORLD);
    TestTrainee of_values(config, shape_for(DecoderKind::kSiren), MPI_COMM_WORLD);
    ASSERT_TRUE(of_bytes.model.objective->takes_bytes());
    for (std::int64_t number = 1; number <= 3; ++number) {
      const auto batch = batch_of(DecoderKind::kSiren, number);
      const auto actual = of_bytes.step(batch, number);
      const auto expected = of_values.step(batch.to(torch::kFloat32).div_(255), number);
      EXPECT_TRUE(actual.sums.equal(expected.sums)) << actual.sums << expected.sums;
    }
    EXPECT_TRUE(of_bytes.weights().equal(of_values.weights()));
  }
}

TEST(TrainStep, local_batch_norm_uses_the_statistics_of_each_rank) {
  const auto kind = DecoderKind::kConv;
  TestTrainee local(config_for(kind, BatchNormMode::kLocal), shape_for(kind), MPI_COMM_WORLD);
  TestTrainee sync(config_for(kind, BatchNormMode::kSync), shape_for(kind), MPI_COMM_WORLD);
  static_cast<void>(local.step(batch_of(kind, 1), 1));
  static_cast<void>(sync.step(batch_of(kind, 1), 1));
  const auto error = relative_error(local.weights(), sync.weights());
  if (local.communicator.size() == 1) {
    EXPECT_LE(error, 1e-14);
  } else {
    EXPECT_GE(error, 1e-6);
  }
}

}  // namespace
}  // namespace gondola
