// Steps that reduce the gradient's outer part while they compute its origin part are those that
// reduce it as a whole.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/overlap_trainee.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

/// Passes on to another communicator, which must outlive it, and keeps what it was asked for.
class Watched final : public Communicator {
 public:
  explicit Watched(Communicator& inner) : inner_(inner) {}

  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  void all_reduce_sum(torch::Tensor& tensor) override {
    note("sum", tensor);
    inner_.all_reduce_sum(tensor);
  }
  /// Does nothing before wait(), as where a peer is late.
  [[nodiscard]] std::unique_ptr<PendingSum> start_all_reduce_sum(torch::Tensor& tensor) override {
    note("start", tensor);
    return std::make_unique<Late>(*this, tensor);
  }
  void broadcast(torch::Tensor& tensor, int root) override {
    note("broadcast", tensor);
    inner_.broadcast(tensor, root);
  }
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override {
    note("gather", tensor);
    return inner_.all_gather(tensor);
  }
  void barrier() override { inner_.barrier(); }

  std::vector<std::string> seen;  ///< "progress" once in a row

 private:
  class Late final : public PendingSum {
   public:
    Late(Watched& watched, torch::Tensor tensor) : watched_(watched), tensor_(std::move(tensor)) {}
    void progress() override {
      if (watched_.seen.back() != "progress") watched_.seen.emplace_back("progress");
    }
    void wait() override {
      watched_.note("wait", tensor_);
      watched_.inner_.all_reduce_sum(tensor_);
    }

   private:
    Watched& watched_;
    torch::Tensor tensor_;
  };

  void note(const std::string& what, const torch::Tensor& tensor) {
    seen.push_back(what + " " + std::to_string(tensor.numel()));
  }

  Communicator& inner_;
};

class OverlapTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator mpi{MPI_COMM_WORLD, progress};
  const bool alone = mpi.size() == 1;
};

struct Case {
  std::string name;
  DecoderKind decoder;
  void (*change)(RunConfig&) = [](RunConfig&) {};
};

const Case kOverlapped[] = {
    {"siren", DecoderKind::kSiren},
    {"relu", DecoderKind::kSiren, [](RunConfig& c) { c.model.activation = ActivationKind::kRelu; }},
    {"conv", DecoderKind::kConv},
    {"conv_double_backward", DecoderKind::kConv,  // coupled images share the origin in any case
     [](RunConfig& c) { c.latent.path = LatentPath::kDoubleBackward; }},
    {"siren_translation", DecoderKind::kSiren,
     [](RunConfig& c) { c.model.family = Family::kTranslation; }},
    {"siren_classifier", DecoderKind::kSiren,
     [](RunConfig& c) { c.model.family = Family::kClassifier; }},
    {"conv_classifier", DecoderKind::kConv,
     [](RunConfig& c) { c.model.family = Family::kClassifier; }},
    {"siren_joint", DecoderKind::kSiren, [](RunConfig& c) { c.model.family = Family::kJoint; }},
    {"siren_in_parts", DecoderKind::kSiren, [](RunConfig& c) { c.trainer.accumulate = 3; }},
    {"siren_at_drawn_points", DecoderKind::kSiren,
     [](RunConfig& c) {
       c.coordinates.inner = {.sampler = CoordinateSampler::kSobol, .count = 16};
       c.coordinates.outer = {.sampler = CoordinateSampler::kUniform, .count = 8};
     }},
    {"siren_clipped_by_descent", DecoderKind::kSiren,
     [](RunConfig& c) {
       c.latent.update = LatentUpdate::kDescent;
       c.optimizer.clip_norm = 0.01;
     }},
    {"siren_with_few_images", DecoderKind::kSiren,  // on four ranks one has none
     [](RunConfig& c) { c.trainer.batch_size = 3; }},
    {"conv_with_few_images", DecoderKind::kConv,
     [](RunConfig& c) {
       c.trainer.batch_size = 3;
       c.latent.size = 2;
     }},
};

class Overlapped : public OverlapTest, public testing::WithParamInterface<Case> {};

TEST_P(Overlapped, steps_are_those_that_reduce_the_gradient_as_a_whole) {
  auto config = overlap_config(GetParam().decoder);
  GetParam().change(config);
  OverlapTrainee overlapped(config, mpi);
  config.parallel.overlap = Overlap::kOff;
  OverlapTrainee whole(config, mpi);
  EXPECT_EQ(overlapped.step.overlaps(), !alone);
  EXPECT_FALSE(whole.step.overlaps());
  for (std::int64_t number = 1; number <= 5; ++number) {
    const auto actual = overlapped.run(number);
    const auto expected = whole.run(number);
    EXPECT_EQ(actual.warning, "");
    EXPECT_LE(relative_error(actual.gradient_norm, expected.gradient_norm), 1e-11);
    if (expected.sums.abs().sum().item<double>() > 0) {
      EXPECT_LE(relative_error(actual.sums, expected.sums), 1e-9);
    }
    EXPECT_EQ(actual.skipped.item<float>(), 0);
    const auto gradient = overlapped.model.parameters().flat_gradient();
    EXPECT_LE(relative_error(gradient, whole.model.parameters().flat_gradient()), 1e-9);
    auto of_rank_0 = gradient.clone();
    mpi.broadcast(of_rank_0, 0);
    EXPECT_TRUE(gradient.equal(of_rank_0)) << "ranks have other bits";
    EXPECT_GT(actual.bytes_reduced, alone ? -1 : expected.bytes_reduced);
    EXPECT_LE(actual.bytes_reduced, expected.bytes_reduced * 3 / 2);
  }
  EXPECT_LE(relative_error(overlapped.weights(), whole.weights()), 1e-9);
  EXPECT_FALSE(progress.inside());
}

INSTANTIATE_TEST_SUITE_P(OverlapTest, Overlapped, testing::ValuesIn(kOverlapped),
                         [](const auto& test) { return test.param.name; });

const Case kWhole[] = {
    {"off", DecoderKind::kSiren, [](RunConfig& c) { c.parallel.overlap = Overlap::kOff; }},
    {"large_images", DecoderKind::kSiren, [](RunConfig& c) { c.latent.size = 30; }},
    {"siren_double_backward", DecoderKind::kSiren,
     [](RunConfig& c) { c.latent.path = LatentPath::kDoubleBackward; }},
    {"three_steps", DecoderKind::kConv, [](RunConfig& c) { c.latent.steps = 3; }},
    {"detached", DecoderKind::kSiren, [](RunConfig& c) { c.latent.detach = true; }},
    {"random_origins", DecoderKind::kSiren, [](RunConfig& c) { c.latent.origin_stddev = 0.1; }},
    {"local_batch_norm", DecoderKind::kConv,
     [](RunConfig& c) { c.model.batch_norm = BatchNormMode::kLocal; }},
    {"no_batch_norm", DecoderKind::kConv,
     [](RunConfig& c) { c.model.batch_norm = BatchNormMode::kNone; }},
    {"no_tangents", DecoderKind::kConv, [](RunConfig& c) { c.latent.size = kOverlapBatch; }},
    {"vgon", DecoderKind::kSiren, [](RunConfig& c) { c.model.family = Family::kVgon; }},
    {"autoencoder", DecoderKind::kConv,
     [](RunConfig& c) { c.model.family = Family::kAutoencoder; }},
    {"glo", DecoderKind::kSiren, [](RunConfig& c) { c.model.family = Family::kGlo; }},
};

class Whole : public OverlapTest, public testing::WithParamInterface<Case> {};

TEST_P(Whole, gradients_are_reduced_at_once) {
  auto config = overlap_config(GetParam().decoder);
  GetParam().change(config);
  Watched watched(mpi);
  OverlapTrainee trainee(config, watched);
  EXPECT_FALSE(trainee.step.overlaps());
  const auto result = trainee.run(1);
  EXPECT_EQ(result.bytes_reduced, alone ? 0 : trainee.weights().numel() * 8);
  for (const auto& call : watched.seen)
    EXPECT_THAT(call, testing::Not(testing::HasSubstr("start")));
}

INSTANTIATE_TEST_SUITE_P(OverlapTest, Whole, testing::ValuesIn(kWhole),
                         [](const auto& test) { return test.param.name; });

TEST_F(OverlapTest, the_gradient_is_under_way_while_the_origin_part_is_computed) {
  if (alone) return;
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    Watched watched(mpi);
    OverlapTrainee trainee(overlap_config(kind), watched);
    (void)trainee.run(1);
    watched.seen.clear();
    (void)trainee.run(2);
    const auto shape = trainee.shape;
    const auto values = shape.channels * shape.height * shape.width;
    const auto sums = "sum " + std::to_string((values + 1) * trainee.config.latent.size);
    const auto parameters = std::to_string(trainee.weights().numel());
    const auto first = std::ranges::find(watched.seen, sums);
    EXPECT_THAT(
        std::vector<std::string>(first, watched.seen.end()),
        testing::ElementsAre(sums, "start " + parameters, "progress", "wait " + parameters));
  }
}

TEST_F(OverlapTest, a_loss_that_is_not_finite_on_one_rank_skips_the_step_on_all_and_is_named) {
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    OverlapTrainee trainee(overlap_config(kind), mpi);
    (void)trainee.run(1);
    const auto weights = trainee.weights().clone();
    const auto result = trainee.run(2, /*broken=*/true);
    EXPECT_EQ(result.skipped.item<float>(), 1);
    EXPECT_TRUE(trainee.weights().equal(weights));
    // Batch norm spreads it over all images.
    const bool has_it = mpi.rank() == mpi.size() - 1 || kind == DecoderKind::kConv;
    EXPECT_EQ(!result.own_sum.isfinite().item<bool>(), has_it);
    EXPECT_EQ(trainee.run(3).skipped.item<float>(), 0);
    EXPECT_FALSE(trainee.weights().equal(weights));
  }
}

TEST_F(OverlapTest, ranks_compare_what_they_computed_in_the_first_step_of_each_start) {
  if (alone) return;
  Watched watched(mpi);
  for (const std::int64_t number : {1, 6}) {  // a run, and one that is resumed on other processors
    OverlapTrainee trainee(overlap_config(DecoderKind::kSiren), watched);
    for (const bool first : {true, false}) {
      watched.seen.clear();
      (void)trainee.run(first ? number : number + 1);
      const auto gathers = std::ranges::count(watched.seen, "gather 1");
      EXPECT_EQ(gathers, first ? 1 : 0);
    }
  }
}

TEST_F(OverlapTest, ranks_that_come_to_other_bits_take_rank_0s_and_reduce_the_whole_from_then_on) {
  if (alone) return;
  auto config = overlap_config(DecoderKind::kSiren);
  OverlapTrainee trainee(config, mpi);
  config.parallel.overlap = Overlap::kOff;
  OverlapTrainee whole(config, mpi);
  // Other weights, as another processor's rounding would have it; these too are part of the state.
  const bool odd = mpi.rank() == 1;
  if (odd) {
    const at::NoGradGuard no_grad;
    trainee.weights().mul_(1 + 1e-14);
  }
  const auto first = trainee.run(1);
  EXPECT_THAT(first.warning, testing::HasSubstr("--parallel.overlap off"));
  EXPECT_FALSE(trainee.step.overlaps());
  auto gradient = trainee.model.parameters().flat_gradient().clone();
  auto of_rank_0 = gradient.clone();
  mpi.broadcast(of_rank_0, 0);
  EXPECT_TRUE(gradient.equal(of_rank_0));
  (void)whole.run(1);
  EXPECT_LE(relative_error(gradient, whole.model.parameters().flat_gradient()), 1e-9);
  EXPECT_EQ(trainee.run(2).bytes_reduced, whole.run(2).bytes_reduced);
}

}  // namespace
}  // namespace gondola
