// Training steps over NcclCommunicator and a fake NCCL on the host are those over MPI.

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "data/batch_loader.hpp"
#include "tests/parallel/nccl_fixture.hpp"
#include "tests/support/relative_error.hpp"
#include "tests/trainer/small_model.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/train_step.hpp"

namespace gondola {
namespace {

/// Waits for the queue after each call: what comes next on tensors of the host does not go there.
class Synchronized final : public Communicator {
 public:
  Synchronized(Communicator& inner, fake_nccl::HostQueue& queue) : inner_(inner), queue_(queue) {}

  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  void all_reduce_sum(torch::Tensor& tensor) override {
    inner_.all_reduce_sum(tensor);
    queue_.synchronize();
  }
  void broadcast(torch::Tensor& tensor, int root) override {
    inner_.broadcast(tensor, root);
    queue_.synchronize();
  }
  [[nodiscard]] torch::Tensor all_gather(const torch::Tensor& tensor) override {
    auto all = inner_.all_gather(tensor);
    queue_.synchronize();
    return all;
  }
  void barrier() override { inner_.barrier(); }

 private:
  Communicator& inner_;
  fake_nccl::HostQueue& queue_;
};

struct Outcome {
  std::vector<double> losses;
  torch::Tensor parameters;
};

class NcclTrainingTest : public NcclOnHost {
 protected:
  /// Eight steps from the default initialisation on batches of 10 images.
  Outcome train(DecoderKind kind, Communicator& communicator) {
    auto config = small_config(kind);
    config.model.batch_norm = BatchNormMode::kSync;
    config.latent.step_size = 0;  // auto
    config.trainer.batch_size = 10;
    const std::int64_t side = kind == DecoderKind::kConv ? 16 : 6;
    const ImageShape shape{.channels = 1, .height = side, .width = side};
    const auto model =
        make_model(config, {.shape = shape, .communicator = &communicator, .training_images = 10});
    auto& parameters = model.parameters();
    FlatAdam optimizer(config.optimizer, parameters.flat().numel(), parameters.flat().options());
    torch::Tensor no_average;
    PhaseTimer timer(progress);
    TrainStep step(config, {*model.decoder, *model.objective, optimizer, no_average}, communicator,
                   timer);
    const auto slice = slice_of(10, communicator.rank(), communicator.size());
    std::vector<std::int64_t> ids(static_cast<std::size_t>(slice.size()));
    std::iota(ids.begin(), ids.end(), slice.begin);

    Outcome outcome;
    for (std::int64_t number = 1; number <= 8; ++number) {
      const auto batch = torch::randint(
          0, 256, {10, 1, side, side},
          at::detail::createCPUGenerator(static_cast<std::uint64_t>(number)), torch::kUInt8);
      auto sums =
          step.run({.view = {.pixels = batch.narrow(0, slice.begin, slice.size())}, .ids = ids},
                   number, /*learning_rate=*/1e-3)
              .sums;
      communicator.all_reduce_sum(sums);
      outcome.losses.push_back(sums[0].item<double>());
    }
    outcome.parameters = parameters.flat().clone();
    return outcome;
  }
};

TEST_F(NcclTrainingTest, losses_and_parameters_are_those_of_a_run_over_mpi) {
  const auto nccl = make();
  Synchronized communicator(*nccl, device.queue);
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    const auto expected = train(kind, mpi);
    const auto actual = train(kind, communicator);
    for (std::size_t i = 0; i < expected.losses.size(); ++i) {
      EXPECT_NEAR(actual.losses[i] / expected.losses[i], 1, 1e-12) << "step " << i + 1;
    }
    EXPECT_LE(relative_error(actual.parameters, expected.parameters), 1e-12);
    EXPECT_NE(expected.losses.front(), expected.losses.back());
  }
  EXPECT_GT(fake_nccl::counts().ended, 0);
}

}  // namespace
}  // namespace gondola
