#include "trainer/layers/sync_batch_norm.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <vector>

#include "tests/support/relative_error.hpp"
#include "trainer/layers/batch_norm_elu.hpp"
#include "trainer/parallel/differentiable_sum.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kImages = 11;
constexpr std::int64_t kChannels = 3;

/// Uneven shares of kImages; from two ranks on the second way leaves a rank without an image.
std::vector<std::vector<std::int64_t>> ways_to_split(int ranks) {
  if (ranks == 1) return {{11}};
  if (ranks == 2) return {{4, 7}, {11, 0}};
  return {{2, 5, 1, 3}, {5, 0, 1, 5}};
}

/// What a batch norm gave: outputs and gradients of first and second order.
struct Outcome {
  torch::Tensor output;
  std::vector<torch::Tensor> plain;   ///< dL/d(x, gain, shift), without keeping a graph
  std::vector<torch::Tensor> first;   ///< The same
  std::vector<torch::Tensor> second;  ///< d(function of dL/d(x, gain, shift))/d(x, gain, shift)
};

class SyncBatchNormTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};

  static torch::Tensor randn(at::IntArrayRef shape, std::uint64_t seed) {
    return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::kFloat64);
  }

  /// The images [first, first + count) of the whole batch: this rank's, or all.
  struct Share {
    std::int64_t first = 0, count = kImages;
  };
  Share share_of(const std::vector<std::int64_t>& split) const {
    Share share{.first = 0, .count = split[static_cast<std::size_t>(comm.rank())]};
    for (int r = 0; r < comm.rank(); ++r) share.first += split[static_cast<std::size_t>(r)];
    return share;
  }

  /// Runs `normalise(x, gain, shift)` on a share of the batch, then a loss L that is a sum over
  /// images, then a second function M of L's gradient, also a sum over images.
  template <typename Normalise>
  static Outcome differentiate(const torch::Tensor& batch, Share share, Normalise normalise) {
    const auto mine = [&](const torch::Tensor& all) {
      return all.narrow(0, share.first, share.count).clone();
    };
    const auto x = mine(batch).requires_grad_(true);
    const auto gain = (1 + 0.3 * randn({kChannels}, 2)).requires_grad_(true);
    const auto shift = (0.5 * randn({kChannels}, 3)).requires_grad_(true);
    const auto weights = mine(randn(batch.sizes(), 4));
    const auto directions = mine(randn(batch.sizes(), 5));

    Outcome outcome;
    outcome.output = normalise(x, gain, shift);
    const auto loss = (outcome.output * weights + at::sin(outcome.output)).sum();
    outcome.plain = torch::autograd::grad({loss}, {x, gain, shift}, {}, /*retain_graph=*/true);
    outcome.first = torch::autograd::grad({loss}, {x, gain, shift}, {}, /*retain_graph=*/true,
                                          /*create_graph=*/true);
    const auto function = (outcome.first[0] * directions).sum() + outcome.first[0].square().sum() +
                          (outcome.first[1] * randn({kChannels}, 6)).sum() +
                          (outcome.first[2] * randn({kChannels}, 7)).sum();
    outcome.second = torch::autograd::grad({function}, {x, gain, shift});
    return outcome;
  }

  /// Holds both functions on the shares of all ranks against at::batch_norm on the whole batch.
  /// `offset` is taken off what the reference sees: exact for values near it, and it does not
  /// change the function.
  void expect_as_on_the_whole_batch(const torch::Tensor& batch, double offset, double tolerance) {
    const auto reference = [](const auto& x, const auto& gain, const auto& shift) {
      return at::batch_norm(x, gain, shift, {}, {}, /*training=*/true, /*momentum=*/0,
                            kBatchNormEpsilon, /*cudnn_enabled=*/false);
    };
    {
      SCOPED_TRACE("alone");
      expect_as(differentiate(batch - offset, {}, reference), batch, tolerance,
                [&](const auto& x, const auto& gain, const auto& shift) {
                  return sync_batch_norm(x, gain, shift, &comm).output;
                });
    }
    SCOPED_TRACE("with an ELU");
    expect_as(differentiate(batch - offset, {},
                            [&](const auto& x, const auto& gain, const auto& shift) {
                              return at::elu(reference(x, gain, shift));
                            }),
              batch, tolerance, [&](const auto& x, const auto& gain, const auto& shift) {
                return batch_norm_elu(x, gain, shift, &comm).output;
              });
  }

  template <typename Normalise>
  void expect_as(const Outcome& expected, const torch::Tensor& batch, double tolerance,
                 const Normalise& normalise) {
    for (const auto& split : ways_to_split(comm.size())) {
      const auto share = share_of(split);
      auto actual = differentiate(batch, share, normalise);
      const auto compare = [&](const torch::Tensor& ours, const torch::Tensor& all,
                               const char* what) {
        // Of the whole tensor's largest value, so that a rank with few images is not judged harder.
        const auto theirs = all.narrow(0, share.first, share.count);
        ASSERT_EQ(ours.sizes(), theirs.sizes());
        if (share.count == 0) return;
        const auto error = (ours - theirs).abs().max() / all.abs().max();
        EXPECT_LE(error.template item<double>(), tolerance) << what << " on rank " << comm.rank();
      };
      compare(actual.output, expected.output, "output");
      compare(actual.plain[0], expected.first[0], "gradient");
      compare(actual.first[0], expected.first[0], "first-order gradient");
      compare(actual.second[0], expected.second[0], "second-order gradient");
      for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
        auto plain = actual.plain[i].clone();
        comm.all_reduce_sum(plain);
        EXPECT_LE(relative_error(plain, expected.first[i]), tolerance) << i;
        auto first = actual.first[i].detach().clone();
        auto second = actual.second[i].detach().clone();
        comm.all_reduce_sum(first);
        comm.all_reduce_sum(second);
        EXPECT_LE(relative_error(first, expected.first[i]), tolerance) << i;
        EXPECT_LE(relative_error(second, expected.second[i]), tolerance) << i;
      }
    }
  }
};

TEST_F(SyncBatchNormTest, values_and_both_orders_of_gradients_are_those_of_the_whole_batch) {
  const auto batch = 0.5 + 2 * randn({kImages, kChannels, 3, 2}, 1);
  expect_as_on_the_whole_batch(batch, /*offset=*/0, 1e-12);
}

TEST_F(SyncBatchNormTest, near_constant_channels_too) {
  auto batch = 3 + randn({kImages, kChannels, 3, 2}, 1);
  batch.select(1, 0) = 3 + 1e-7 * randn({kImages, 3, 2}, 7);
  batch.select(1, 1) = 3;
  // The rounding of the mean, 4e-16, is divided by sqrt(epsilon) once for the output, thrice for
  // the second gradient.
  expect_as_on_the_whole_batch(batch, /*offset=*/3, 1e-10);
}

TEST_F(SyncBatchNormTest, statistics_are_the_mean_and_the_unbiased_variance_without_a_graph) {
  const auto batch = randn({kImages, kChannels, 3, 2}, 8);
  for (const auto& split : ways_to_split(comm.size())) {
    const auto share = share_of(split);
    const auto x = batch.narrow(0, share.first, share.count).clone().requires_grad_(true);
    const auto ones = torch::ones({kChannels}, torch::kFloat64);
    const auto flat = batch.transpose(0, 1).flatten(1);
    for (const auto& result :
         {sync_batch_norm(x, ones, ones, &comm), batch_norm_elu(x, ones, ones, &comm)}) {
      EXPECT_LE(relative_error(result.mean, flat.mean(1)), 1e-13);
      EXPECT_LE(relative_error(result.variance, flat.var(1, /*unbiased=*/true)), 1e-13);
      EXPECT_FALSE(result.mean.requires_grad());
      EXPECT_FALSE(result.variance.requires_grad());
    }
  }
}

TEST_F(SyncBatchNormTest, without_a_communicator_the_statistics_are_this_ranks_own) {
  const auto x = randn({4, kChannels, 2, 2}, static_cast<std::uint64_t>(20 + comm.rank()));
  const auto ones = torch::ones({kChannels}, torch::kFloat64);
  const auto before = progress.sequence();
  const auto result = sync_batch_norm(x, ones, ones, nullptr);
  const auto with_elu = batch_norm_elu(x, ones, ones, nullptr);
  EXPECT_EQ(progress.sequence(), before) << "a collective was started";
  EXPECT_LE(relative_error(result.mean, x.mean({0, 2, 3})), 1e-13);
  EXPECT_LE(relative_error(with_elu.mean, x.mean({0, 2, 3})), 1e-13);
}

TEST_F(SyncBatchNormTest, a_differentiable_sum_passes_the_sum_of_the_ranks_gradients) {
  const auto x = torch::full({2}, 1.0 + comm.rank(), torch::kFloat64).requires_grad_(true);
  const auto sum = all_reduce_sum_differentiable(x, &comm);
  const double ranks = comm.size();
  EXPECT_EQ(sum[0].item<double>(), ranks * (ranks + 1) / 2);
  // L = sum over ranks r of (r + 1) * sum^2: dL/dx = 2 sum * sum of (r + 1), here 2 sum^2.
  const auto loss = (sum.square() * (1.0 + comm.rank())).sum();
  const auto first = torch::autograd::grad({loss}, {x}, {}, true, true)[0];
  EXPECT_NEAR(first[0].item<double>(), 2 * std::pow(sum[0].item<double>(), 2), 1e-9);
  // M = sum over ranks of dL/dx = W * 2 R S with S = sum, R = sum of (r + 1): dM/dx = 2 W R.
  const auto second = torch::autograd::grad({first.sum()}, {x})[0];
  EXPECT_NEAR(second[0].item<double>(), ranks * ranks * (ranks + 1), 1e-9);
}

TEST_F(SyncBatchNormTest, a_batch_of_another_shape_is_refused) {
  const auto ones = torch::ones({kChannels}, torch::kFloat64);
  EXPECT_THROW(sync_batch_norm(torch::ones({2, kChannels}, torch::kFloat64), ones, ones, nullptr),
               c10::Error);
}

}  // namespace
}  // namespace gondola
