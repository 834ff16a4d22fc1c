// Training steps over NcclCommunicator and a fake NCCL on the host are those over MPI.

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "tests/parallel/nccl_fixture.hpp"
#include "tests/support/relative_error.hpp"
#include "tests/trainer/overlap_trainee.hpp"

namespace gondola {
namespace {

struct Outcome {
  std::vector<double> losses;
  torch::Tensor parameters;
};

class NcclTrainingTest : public NcclOnHost {
 protected:
  /// Eight steps from the default initialisation.
  static Outcome train(const RunConfig& config, Communicator& communicator) {
    OverlapTrainee trainee(config, communicator);
    EXPECT_EQ(trainee.step.overlaps(),
              communicator.size() > 1 && config.parallel.overlap == Overlap::kAuto);
    Outcome outcome;
    for (std::int64_t number = 1; number <= 8; ++number) {
      auto sums = trainee.run(number).sums;
      communicator.all_reduce_sum(sums);
      outcome.losses.push_back(sums[0].item<double>());
    }
    outcome.parameters = trainee.weights().clone();
    return outcome;
  }
};

TEST_F(NcclTrainingTest, losses_and_parameters_are_those_of_a_run_over_mpi) {
  const auto nccl = make();
  Synchronized communicator(*nccl, device);
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    for (const auto overlap : {Overlap::kAuto, Overlap::kOff}) {
      auto config = overlap_config(kind);
      const auto expected = train(config, mpi);
      config.parallel.overlap = overlap;
      const auto actual = train(config, communicator);
      for (std::size_t i = 0; i < expected.losses.size(); ++i) {
        EXPECT_NEAR(actual.losses[i] / expected.losses[i], 1, 1e-12) << "step " << i + 1;
      }
      EXPECT_LE(relative_error(actual.parameters, expected.parameters), 1e-11);
      EXPECT_NE(expected.losses.front(), expected.losses.back());
    }
  }
  EXPECT_GT(fake_nccl::counts().ended, 0);
}

/// Lets the gradient's sum, which is held up, go on only where it is waited for.
class ReleasedLate final : public Synchronized {
 public:
  ReleasedLate(Communicator& inner, fake_nccl::HostDevice& device, std::int64_t gradient)
      : Synchronized(inner, device), gradient_(gradient) {}

  void all_reduce_sum(torch::Tensor& tensor) override {
    if (tensor.numel() == gradient_) {
      ADD_FAILURE() << "the step waits for the gradient's sum";
      fake_nccl::release();
    }
    Synchronized::all_reduce_sum(tensor);
  }
  int computed_meanwhile = 0;
  std::int64_t under_way = 0;  ///< Where it is waited for.

 protected:
  void on_progress() override { ++computed_meanwhile; }
  void on_wait() override {
    const auto counts = fake_nccl::counts();
    under_way = counts.collectives - counts.ended;
    fake_nccl::release();
  }

 private:
  std::int64_t gradient_;
};

TEST_F(NcclTrainingTest, the_origin_part_is_computed_while_the_gradient_is_on_its_way) {
  if (mpi.size() == 1) return;
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    const auto config = overlap_config(kind);
    OverlapTrainee expected(config, mpi);
    const auto gradient = expected.weights().numel();
    const auto nccl = make({.hold_bytes = gradient * 8});
    ReleasedLate ranks(*nccl, device, gradient);
    OverlapTrainee trainee(config, ranks);
    (void)trainee.run(1);
    EXPECT_GE(ranks.computed_meanwhile, 2);
    EXPECT_EQ(ranks.under_way, 1);
    (void)expected.run(1);
    EXPECT_LE(relative_error(trainee.weights(), expected.weights()), 1e-11);
  }
}

}  // namespace
}  // namespace gondola
