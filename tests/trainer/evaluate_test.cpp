#include "trainer/evaluation/evaluate.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <vector>

#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "tests/trainer/trainee.hpp"
#include "trainer/evaluation/metrics.hpp"

namespace gondola {
namespace {

constexpr ImageShape kShape{.channels = 1, .height = 16, .width = 16};
constexpr std::int64_t kImages = 230;  // two groups of 100 and a part of one

class EvaluateTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator all{MPI_COMM_WORLD, progress};
  MpiCommunicator self{MPI_COMM_SELF, progress};
  std::unique_ptr<ImageSource> source =
      open_source("synthetic:230x1x16x16", Split::kTrain, CacheKind::kNone);
  Model model;

  /// A decoder that is not the one it started as, running averages included.
  Reconstructor reconstructor(const RunConfig& config) {
    model = make_model(config, {.shape = kShape});
    move_parameters(*model.decoder, 0.1, 3);
    for (auto& average : model.parameters().running_averages()) average.variance.fill_(0.3);
    return {config, *model.decoder, *model.objective, mean_image_of(*source, torch::kFloat64)};
  }

  /// The metrics computed group by group on one rank.
  std::map<std::string, double> expected(const Reconstructor& with, std::int64_t total,
                                         std::int64_t group) const {
    auto sums = torch::zeros({3}, torch::kFloat64);
    for (std::int64_t first = 0; first < total; first += group) {
      const auto count = std::min(group, total - first);
      std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
      std::iota(ids.begin(), ids.end(), first);
      auto pixels = torch::empty({count, 1, 16, 16}, torch::kUInt8);
      source->read(ids,
                   {pixels.data_ptr<std::uint8_t>(), static_cast<std::size_t>(pixels.numel())});
      const auto target = pixels.to(torch::kFloat64) / 255;
      const auto image = with.reconstruct(target, ids).images;
      sums += torch::stack({(image - target).square().sum(), psnr_per_image(image, target).sum(),
                            ssim_per_image(image, target).sum()});
    }
    sums /= total;
    return {{"loss", sums[0].item<double>()},
            {"psnr", sums[1].item<double>()},
            {"ssim", sums[2].item<double>()}};
  }

  /// `images` as evaluate() takes them: 0 means all.
  void expect_same_on_all_ranks(const RunConfig& config, std::int64_t images) {
    const auto with = reconstructor(config);
    const auto total = images == 0 ? kImages : std::min(images, kImages);
    const auto reference = expected(with, total, config.evaluation.group_images);
    for (auto* communicator : {&all, &self}) {
      const auto report = evaluate(config, with, {.source = *source}, torch::kFloat64, images,
                                   *communicator, progress);
      EXPECT_EQ(report.images, total);
      EXPECT_EQ(report.encoding, with.description());
      ASSERT_EQ(report.metrics.size(), reference.size());
      for (const auto& [name, value] : reference) {
        EXPECT_NEAR(report.metrics.at(name) / value, 1, 1e-12)
            << name << " on " << communicator->size() << " ranks, " << total << " images";
      }
    }
  }

  static RunConfig config_of(DecoderKind kind, EvaluationStatistics statistics,
                             std::int64_t group) {
    auto config = small_config(kind);
    config.evaluation.statistics = statistics;
    config.evaluation.group_images = group;
    return config;
  }
};

TEST_F(EvaluateTest, metrics_are_the_means_over_the_images_on_any_number_of_ranks) {
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    for (const std::int64_t images : {0, 120, 100, 5000}) {
      expect_same_on_all_ranks(config_of(kind, EvaluationStatistics::kIndependent, 100), images);
    }
  }
}

TEST_F(EvaluateTest, groups_of_batch_statistics_are_cut_by_id_and_not_by_rank) {
  for (const std::int64_t images : {0, 120}) {
    expect_same_on_all_ranks(config_of(DecoderKind::kConv, EvaluationStatistics::kBatch, 100),
                             images);
  }
  const auto of_hundreds = config_of(DecoderKind::kConv, EvaluationStatistics::kBatch, 100);
  const auto of_tens = config_of(DecoderKind::kConv, EvaluationStatistics::kBatch, 10);
  const auto loss = [&](const RunConfig& config) {
    return evaluate(config, reconstructor(config), {.source = *source}, torch::kFloat64, 0, all,
                    progress)
        .metrics.at("loss");
  };
  EXPECT_GT(std::abs(loss(of_hundreds) / loss(of_tens) - 1), 1e-6) << "the group should matter";
}

TEST_F(EvaluateTest, fewer_images_or_groups_than_ranks_leave_ranks_without_work) {
  for (const auto statistics : {EvaluationStatistics::kIndependent, EvaluationStatistics::kBatch}) {
    for (const std::int64_t images : {1, 2, 3}) {
      expect_same_on_all_ranks(config_of(DecoderKind::kConv, statistics, 100), images);
      expect_same_on_all_ranks(config_of(DecoderKind::kConv, statistics, 1), images);
    }
  }
}

/// Keeps what the others were allowed to wait when their sums were added up.
class AllowanceWitness final : public Communicator {
 public:
  explicit AllowanceWitness(const CollectiveProgress& progress) : progress_(progress) {}
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  void all_reduce_sum(torch::Tensor&) override { allowed = progress_.extra_seconds(); }
  void broadcast(torch::Tensor&, int) override {}
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override { return tensor; }
  void barrier() override {}

  double allowed = 0;

 private:
  const CollectiveProgress& progress_;
};

TEST_F(EvaluateTest, ranks_may_wait_for_another_group_of_the_others) {
  const auto config = config_of(DecoderKind::kSiren, EvaluationStatistics::kIndependent, 100);
  const auto with = reconstructor(config);
  AllowanceWitness witness(progress);
  const auto start = std::chrono::steady_clock::now();
  (void)evaluate(config, with, {.source = *source}, torch::kFloat64, 200, witness, progress);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_GT(witness.allowed, 0.0);
  EXPECT_LT(witness.allowed, 2 * taken.count());  // two groups were this rank's own
  EXPECT_EQ(progress.extra_seconds(), 0.0);
}

TEST_F(EvaluateTest, independent_metrics_do_not_depend_on_the_group) {
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    const auto config = config_of(kind, EvaluationStatistics::kIndependent, 100);
    const auto singly = config_of(kind, EvaluationStatistics::kIndependent, 1);
    const auto a = evaluate(config, reconstructor(config), {.source = *source}, torch::kFloat64, 30,
                            all, progress);
    const auto b = evaluate(singly, reconstructor(singly), {.source = *source}, torch::kFloat64, 30,
                            all, progress);
    EXPECT_NEAR(a.metrics.at("loss") / b.metrics.at("loss"), 1, 1e-12);
  }
}

}  // namespace
}  // namespace gondola
