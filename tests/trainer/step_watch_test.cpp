#include "trainer/step_watch.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tests/trainer/small_model.hpp"
#include "tests/trainer/trainee.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kBatch = 10;  // not divisible by 4
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

RunConfig config_with(double outlier_factor = 0) {
  auto config = small_config(DecoderKind::kSiren);
  config.trainer.batch_size = kBatch;
  config.trainer.outlier_factor = outlier_factor;
  return config;
}

/// Steps of a training whose batches the test makes, in the order of its cursors.
struct Watched {
  explicit Watched(const RunConfig& run_config)
      : trainee(run_config, {.channels = 1, .height = 4, .width = 4}, MPI_COMM_WORLD),
        watch(trainee.config, trainee.weights(), trainee.communicator, [](Cursor cursor) {
          std::vector<std::int64_t> ids(kBatch);
          std::iota(ids.begin(), ids.end(), 100 * cursor.batch);
          return ids;
        }) {}

  /// One step on pixel values [B, C, H, W] of the whole batch.
  StepResult step(const torch::Tensor& values) {
    ++number;
    auto result = trainee.step(values, number);
    watch.add(number, {.epoch = 0, .batch = number}, result);
    return result;
  }
  StepResult good_step() { return step(images()); }

  [[nodiscard]] static torch::Tensor images() {
    return random_images({kBatch, 1, 4, 4}, /*seed=*/3);
  }
  [[nodiscard]] int last() const { return trainee.communicator.size() - 1; }

  TestTrainee trainee;
  StepWatch watch;
  std::int64_t number = 0;
};

TEST(StepWatch, good_steps_leave_nothing) {
  Watched watched(config_with());
  for (int i = 0; i < 3; ++i) static_cast<void>(watched.good_step());
  EXPECT_TRUE(watched.watch.take().empty());
}

TEST(StepWatch, one_image_of_the_batch_is_found_on_every_rank) {
  Watched watched(config_with());
  static_cast<void>(watched.good_step());
  auto values = Watched::images();
  values[8][0][2][1] = std::numeric_limits<double>::infinity();
  const auto before = watched.trainee.weights().clone();
  EXPECT_EQ(watched.step(values).skipped.item<float>(), 1);
  EXPECT_TRUE(watched.trainee.weights().equal(before));
  static_cast<void>(watched.good_step());

  const auto bad = watched.watch.take();
  ASSERT_EQ(bad.size(), 1U);
  EXPECT_EQ(bad[0].step, 2);
  EXPECT_EQ(bad[0].trouble, Trouble::kLoss);
  EXPECT_EQ(bad[0].positions, std::vector<std::int64_t>{8});
  EXPECT_EQ(bad[0].ids.at(8), 208);
  if (watched.last() > 0) {  // positions 7 and 8 are the last rank's, of 2 and of 4
    EXPECT_EQ(bad[0].ranks, std::vector<int>{watched.last()});
  }
  EXPECT_TRUE(watched.watch.take().empty()) << "a step is told once";
}

TEST(StepWatch, bad_steps_in_a_row_are_counted_over_calls) {
  Watched watched(config_with());
  auto values = Watched::images();
  values[0][0][0][0] = kNan;
  static_cast<void>(watched.step(values));
  static_cast<void>(watched.step(values));
  auto bad = watched.watch.take();
  ASSERT_EQ(bad.size(), 2U);
  EXPECT_EQ(bad[0].in_a_row, 1);
  EXPECT_EQ(bad[1].in_a_row, 2);
  static_cast<void>(watched.step(values));
  EXPECT_EQ(watched.watch.take().at(0).in_a_row, 3);
  static_cast<void>(watched.good_step());
  static_cast<void>(watched.step(values));
  EXPECT_EQ(watched.watch.take().at(0).in_a_row, 1);
}

TEST(StepWatch, weights_come_before_what_follows_from_them) {
  Watched watched(config_with());
  if (watched.trainee.communicator.rank() == watched.last()) watched.trainee.weights()[5] = kNan;
  static_cast<void>(watched.good_step());
  const auto bad = watched.watch.take();
  ASSERT_EQ(bad.size(), 1U);
  EXPECT_EQ(bad[0].trouble, Trouble::kWeights);
  EXPECT_EQ(bad[0].ranks, std::vector<int>{watched.last()});
}

/// An objective whose first image has a loss that overflowed though its derivatives are good.
class Overflowing final : public Objective {
 public:
  explicit Overflowing(std::unique_ptr<Objective> objective) : objective_(std::move(objective)) {}
  Losses losses(const ObjectiveBatch& batch, const Passes& passes, PhaseTimer* timer) override {
    auto result = objective_->losses(batch, passes, timer);
    result.loss[0] = std::numeric_limits<double>::infinity();
    return result;
  }
  bool splits_at_latents() const override { return objective_->splits_at_latents(); }
  double scale() const override { return objective_->scale(); }
  torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) override {
    return objective_->encode(batch, pass);
  }
  torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) override {
    return objective_->decode(latents, pass);
  }
  std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                               const ObjectiveBatch& batch,
                                               const Pass& pass) override {
    return objective_->measure(prediction, batch, pass);
  }
  std::string loss_in_words() const override { return objective_->loss_in_words(); }

 private:
  std::unique_ptr<Objective> objective_;
};

TEST(StepWatch, a_loss_that_is_not_finite_is_bad_though_the_gradient_is_finite) {
  Watched watched(config_with());
  auto& objective = watched.trainee.model.objective;
  if (watched.trainee.communicator.rank() == 0) {
    objective = std::make_unique<Overflowing>(std::move(objective));
  }
  const auto before = watched.trainee.weights().clone();
  EXPECT_EQ(watched.good_step().skipped.item<float>(), 1);
  EXPECT_TRUE(watched.trainee.weights().equal(before));
  const auto bad = watched.watch.take();
  ASSERT_EQ(bad.size(), 1U);
  EXPECT_EQ(bad[0].trouble, Trouble::kLoss);
  EXPECT_EQ(bad[0].positions, std::vector<std::int64_t>{0});
}

TEST(StepWatch, a_gradient_beyond_the_bound_is_bad_and_named_so) {
  Watched watched(config_with(/*outlier_factor=*/50));
  for (int i = 0; i < 21; ++i) static_cast<void>(watched.good_step());
  EXPECT_TRUE(watched.watch.take().empty());
  const auto before = watched.trainee.weights().clone();
  static_cast<void>(watched.step(Watched::images().mul(1000)));
  const auto bad = watched.watch.take();
  ASSERT_EQ(bad.size(), 1U);
  EXPECT_EQ(bad[0].trouble, Trouble::kBound);
  EXPECT_GT(bad[0].gradient_norm, 0);
  EXPECT_TRUE(bad[0].positions.empty());
  EXPECT_TRUE(watched.trainee.weights().equal(before));
}

}  // namespace
}  // namespace gondola
