#include "trainer/recorded_step.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "data/batch_loader.hpp"
#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "trainer/coordinates/coordinate_draws.hpp"
#include "trainer/layers/deterministic_convolutions.hpp"
#include "trainer/model.hpp"
#include "trainer/parallel/make_communicator.hpp"
#include "trainer/train_step.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kBatch = 10;
constexpr std::int64_t kClasses = 3;

/// A graph on the CPU: the work itself, run again. It keeps no kernels, but as a graph of kernels
/// it sees nothing of a step but what its inputs hold. What only a GPU forbids, such as waiting for
/// it, passes here.
class HostGraph final : public DeviceGraph {
 public:
  void rehearse(const std::function<void()>& work) override { work(); }
  void record(const std::function<void()>& work) override {
    EXPECT_FALSE(work_) << "recorded twice";
    work_ = work;
  }
  void replay() override { work_(); }

 private:
  std::function<void()> work_;
};

/// Counts what is done with graphs.
class CountedGraph final : public DeviceGraph {
 public:
  explicit CountedGraph(std::unique_ptr<DeviceGraph> graph) : graph_(std::move(graph)) {}
  void rehearse(const std::function<void()>& work) override { graph_->rehearse(inside(work)); }
  void record(const std::function<void()>& work) override { graph_->record(inside(work)); }
  void replay() override {
    ++replays;
    graph_->replay();
  }

  static inline int replays = 0;
  static inline bool at_work = false;  ///< Whether a graph's work is being run.

 private:
  static std::function<void()> inside(std::function<void()> work) {
    return [work = std::move(work)] {
      at_work = true;
      work();
      at_work = false;
    };
  }
  std::unique_ptr<DeviceGraph> graph_;
};

/// Ranks that cannot meet in a graph's work.
class BetweenGraphs final : public Communicator {
 public:
  explicit BetweenGraphs(Communicator& inner) : inner_(inner) {}
  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  void all_reduce_sum(torch::Tensor& tensor) override { meet().all_reduce_sum(tensor); }
  void broadcast(torch::Tensor& tensor, int root) override { meet().broadcast(tensor, root); }
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override {
    return meet().all_gather(tensor);
  }
  void barrier() override { meet().barrier(); }

 private:
  Communicator& meet() {
    EXPECT_FALSE(CountedGraph::at_work) << "a collective in what a graph records";
    return inner_;
  }
  Communicator& inner_;
};

struct Case {
  std::string name;
  std::function<void(RunConfig&)> change;
  DecoderKind decoder = DecoderKind::kSiren;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

/// A model in training on a device.
class GraphTrainee {
 public:
  GraphTrainee(RunConfig run_config, torch::Device device, Communicator& ranks,
               const MakeDeviceGraph& graphs)
      : config_(std::move(run_config)),
        device_(device),
        ranks_(ranks),
        shape_(config_.model.decoder == DecoderKind::kConv
                   ? ImageShape{.channels = 2, .height = 16, .width = 16}
                   : ImageShape{.channels = 2, .height = 8, .width = 8}),
        draws_(config_.coordinates, shape_.height, shape_.width, config_.run.seed, nullptr),
        model_(make_model(config_, {.shape = shape_,
                                    .device = device,
                                    .communicator = &ranks,
                                    .training_images = kBatch})),
        optimizer_(config_.optimizer, weights().numel(), weights().options()),
        timer_(progress_),
        step_(config_,
              {.decoder = *model_.decoder,
               .objective = *model_.objective,
               .optimizer = optimizer_,
               .average = average_},
              ranks, timer_, graphs) {
    if (config_.trainer.ema_decay > 0) average_ = weights().clone();
  }

  [[nodiscard]] torch::Tensor& weights() { return model_.parameters().flat(); }
  [[nodiscard]] const torch::Tensor& average() const { return average_; }
  [[nodiscard]] Parameters& parameters() const { return model_.parameters(); }

  /// Collective. Batch `number`, at a rate of its own; `extra` views to measure the spread.
  StepResult run(std::int64_t number, std::int64_t extra = 0) {
    const auto slice = slice_of(kBatch, ranks_.rank(), ranks_.size());
    std::vector<std::int64_t> ids(static_cast<std::size_t>(slice.size()));
    std::iota(ids.begin(), ids.end(), slice.begin + 100 * number);
    StepInput input{.view = view(number, 0, slice), .ids = ids};
    for (std::int64_t i = 1; i <= extra; ++i) input.others.push_back(view(number, i, slice));
    input.labels = (torch::arange(slice.begin, slice.end) + number).remainder(kClasses);
    return step_.run(input, number, 1.0 / static_cast<double>(256 << (number % 3)));
  }

 private:
  [[nodiscard]] StepView view(std::int64_t number, std::int64_t repeat, const Slice& slice) const {
    const auto pixels =
        torch::randint(0, 256, {kBatch, shape_.channels, shape_.height, shape_.width},
                       at::detail::createCPUGenerator(static_cast<std::uint64_t>(number)),
                       torch::kUInt8)
            .narrow(0, slice.begin, slice.size());
    const DrawKey key{.batch = number, .repeat = repeat};
    StepView view{.pixels = pixels};
    view.coordinates = draws_.at(key, weights_options());
    if (draws_.all()) {
      view.pixels = pixels.flatten(2).index_select(2, torch::tensor(draws_.pixels(key)));
    }
    if (config_.model.family == Family::kTranslation) view.target_pixels = pixels.flip(3);
    return view;
  }
  [[nodiscard]] torch::TensorOptions weights_options() const {
    return model_.parameters().flat().options().requires_grad(false);
  }

  const RunConfig config_;
  torch::Device device_;
  Communicator& ranks_;
  CollectiveProgress progress_;
  ImageShape shape_;
  CoordinateDraws draws_;
  Model model_;
  FlatAdam optimizer_;
  torch::Tensor average_;
  PhaseTimer timer_;
  TrainStep step_;
};

class EachRecordedStep : public testing::TestWithParam<std::tuple<Case, torch::DeviceType>> {
 protected:
  void SetUp() override {
    int rank = 0;
    int ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (on_gpu() && static_cast<int>(torch::cuda::device_count()) < ranks) {
      GTEST_SKIP() << "no CUDA device here for each rank";
    }
    const auto device = on_gpu() ? torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(rank))
                                 : torch::Device(torch::kCPU);
    communicator = make_communicator(device, MPI_COMM_WORLD, progress, 60.0);
    between = std::make_unique<BetweenGraphs>(*communicator);
    const auto& [name, change, decoder] = std::get<0>(GetParam());
    auto config = small_config(decoder, Precision::kFloat32);
    config.model.classes = kClasses;
    config.model.batch_norm = BatchNormMode::kLocal;
    config.latent.step_size = 0;  // auto
    config.trainer.batch_size = kBatch;
    config.trainer.ema_decay = 0.5;
    if (change) change(config);
    if (config.model.batch_norm == BatchNormMode::kSync && communicator->size() > 1) {
      GTEST_SKIP() << "ranks that share statistics have no graph";
    }
    plain = std::make_unique<GraphTrainee>(config, device, *communicator, MakeDeviceGraph());
    config.trainer.cuda_graph = true;
    graphs = std::make_unique<GraphTrainee>(config, device, *between, [device] {
      auto graph = on_gpu() ? device_graphs(device)() : std::make_unique<HostGraph>();
      return std::make_unique<CountedGraph>(std::move(graph));
    });
    CountedGraph::replays = 0;
  }

  [[nodiscard]] static bool on_gpu() { return std::get<1>(GetParam()) == torch::kCUDA; }

  /// On a GPU a step may round in another way than its graph: where its libraries chose others.
  static void expect_same(const torch::Tensor& actual, const torch::Tensor& expected,
                          const std::string& what) {
    ASSERT_EQ(actual.defined(), expected.defined()) << what;
    if (!actual.defined()) return;
    if (on_gpu()) {
      EXPECT_LE(relative_error(actual.cpu(), expected.cpu()), 1e-4) << what;
    } else {
      EXPECT_TRUE(torch::equal(actual, expected)) << what;
    }
  }
  void expect_same_state() {
    expect_same(graphs->weights(), plain->weights(), "weights");
    expect_same(graphs->average(), plain->average(), "average");
    auto& found = graphs->parameters().running_averages();
    auto& wanted = plain->parameters().running_averages();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      expect_same(found[i].mean, wanted[i].mean, "running mean " + std::to_string(i));
      expect_same(found[i].variance, wanted[i].variance, "variance " + std::to_string(i));
    }
  }

  DeterministicConvolutions alike;
  CollectiveProgress progress;
  std::unique_ptr<Communicator> communicator;
  std::unique_ptr<BetweenGraphs> between;
  std::unique_ptr<GraphTrainee> plain;
  std::unique_ptr<GraphTrainee> graphs;
};

TEST_P(EachRecordedStep, is_the_step_itself) {
  constexpr std::int64_t kSteps = 9;
  std::vector<std::pair<StepResult, StepResult>> results;
  for (std::int64_t number = 1; number <= kSteps; ++number) {
    results.emplace_back(graphs->run(number), plain->run(number));
  }
  // What a step returned is not overwritten by later ones.
  for (const auto& [found, wanted] : results) {
    expect_same(found.sums, wanted.sums, "sums");
    expect_same(found.gradient_norm, wanted.gradient_norm, "norm of the gradient");
    expect_same(found.skipped, wanted.skipped, "skipped");
    expect_same(found.own_sum, wanted.own_sum, "own sum");
    ASSERT_EQ(found.image_losses.size(), wanted.image_losses.size());
    for (std::size_t i = 0; i < found.image_losses.size(); ++i) {
      expect_same(found.image_losses[i], wanted.image_losses[i], "losses of the images");
    }
    ASSERT_EQ(found.parts.size(), wanted.parts.size());
    for (const auto& [name, value] : wanted.parts) expect_same(found.parts.at(name), value, name);
    EXPECT_EQ(found.bytes_reduced, wanted.bytes_reduced);
  }
  expect_same_state();
  EXPECT_EQ(CountedGraph::replays, 2 * (kSteps - 3));
}

TEST_P(EachRecordedStep, steps_that_measure_the_spread_come_between) {
  // Some before the steps are recorded, some after.
  for (std::int64_t number = 1; number <= 12; ++number) {
    const std::int64_t extra = number % 4 == 1 ? 3 : 0;
    const auto found = graphs->run(number, extra);
    const auto wanted = plain->run(number, extra);
    expect_same(found.sums, wanted.sums, "sums");
    expect_same(found.spread, wanted.spread, "spread");
  }
  expect_same_state();
}

TEST_P(EachRecordedStep, a_gradient_that_is_not_finite_changes_nothing) {
  for (std::int64_t number = 1; number <= 5; ++number) static_cast<void>(graphs->run(number));
  const auto before = graphs->weights().clone();
  graphs->weights().fill_(NAN);
  const auto result = graphs->run(6);
  EXPECT_EQ(result.skipped.item<float>(), 1);
  EXPECT_TRUE(graphs->weights().isnan().all().item<bool>());
  graphs->weights().copy_(before);
  EXPECT_EQ(graphs->run(7).skipped.item<float>(), 0);
  EXPECT_FALSE(graphs->weights().equal(before));
  EXPECT_TRUE(graphs->weights().isfinite().all().item<bool>()) << "moments took it";
  for (const auto& average : graphs->parameters().running_averages()) {
    EXPECT_TRUE(average.mean.isfinite().all().item<bool>()) << average.name;
    EXPECT_TRUE(average.variance.isfinite().all().item<bool>()) << average.name;
  }
}

const auto kCases = testing::Values(
    Case{"siren", {}},
    Case{"siren_drawn",
         [](RunConfig& c) {
           c.coordinates.inner = {.sampler = CoordinateSampler::kUniform, .count = 40};
           c.coordinates.outer = {.sampler = CoordinateSampler::kSobol, .count = 16};
         }},
    Case{"siren_decoded_at_drawn",
         [](RunConfig& c) {
           c.coordinates.outer = {.sampler = CoordinateSampler::kUniform, .count = 16};
         }},
    Case{"siren_in_parts_with_noise_at_the_origin",
         [](RunConfig& c) {
           c.trainer.accumulate = 2;
           c.latent.origin_stddev = 0.1;
         }},
    Case{"siren_joint", [](RunConfig& c) { c.model.family = Family::kJoint; }},
    Case{"siren_vgon", [](RunConfig& c) { c.model.family = Family::kVgon; }},
    Case{"siren_translation", [](RunConfig& c) { c.model.family = Family::kTranslation; }},
    Case{"siren_bounded",
         [](RunConfig& c) {
           c.trainer.outlier_factor = 2;
           c.optimizer.clip_norm = 0.01;
         }},
    Case{"siren_double_backward",
         [](RunConfig& c) { c.latent.path = LatentPath::kDoubleBackward; }},
    Case{"conv", {}, DecoderKind::kConv},
    Case{"conv_sync", [](RunConfig& c) { c.model.batch_norm = BatchNormMode::kSync; },
         DecoderKind::kConv},
    Case{"conv_classifier", [](RunConfig& c) { c.model.family = Family::kClassifier; },
         DecoderKind::kConv},
    Case{"conv_vae", [](RunConfig& c) { c.model.family = Family::kVae; }, DecoderKind::kConv},
    Case{"conv_three_steps",
         [](RunConfig& c) {
           c.latent.steps = 3;
           c.latent.update = LatentUpdate::kDescent;
         },
         DecoderKind::kConv});

INSTANTIATE_TEST_SUITE_P(host, EachRecordedStep,
                         testing::Combine(kCases, testing::Values(torch::kCPU)));
INSTANTIATE_TEST_SUITE_P(gpu, EachRecordedStep,
                         testing::Combine(kCases, testing::Values(torch::kCUDA)));

}  // namespace
}  // namespace gondola
