#include "trainer/parallel/replica_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

using testing::HasSubstr;

class ReplicaCheckTest : public testing::Test {
 protected:
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};
  const torch::Tensor original = torch::linspace(-1, 1, 1001, torch::kFloat64);
  torch::Tensor weights = original.clone();
  torch::Tensor moments = original.clone();
  int last = comm.size() - 1;

  ReplicaVerdict check() {
    std::vector<torch::Tensor> state{weights, moments};
    return check_replicas(comm, state, 17);
  }

  /// A world of one has nobody to differ from: whatever it holds passes.
  bool alone() {
    if (comm.size() > 1) return false;
    weights[0] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FALSE(check().mended());
    return true;
  }

  std::string complaint() {
    try {
      static_cast<void>(check());
      return "nothing was thrown";
    } catch (const CommError& error) {
      return error.what();
    }
  }
};

TEST_F(ReplicaCheckTest, equal_replicas_pass) {
  const auto verdict = check();
  EXPECT_FALSE(verdict.mended());
  EXPECT_EQ(verdict.warning(), "");
}

TEST_F(ReplicaCheckTest, a_small_drift_of_one_rank_is_mended_and_named) {
  if (alone()) return;
  if (comm.rank() == last) weights[500] += 1e-9;
  const auto verdict = check();
  EXPECT_EQ(verdict.different_ranks, std::vector<int>{last});
  EXPECT_NEAR(verdict.drift, 1e-9, 1e-12);
  EXPECT_THAT(verdict.warning(), HasSubstr("rank " + std::to_string(last)));
  EXPECT_TRUE(torch::equal(weights, original));
  EXPECT_FALSE(check().mended());
}

TEST_F(ReplicaCheckTest, from_three_ranks_on_a_small_drift_is_mended_by_the_majority) {
  if (alone()) return;
  if (comm.rank() == 0) weights[500] += 1e-9;
  const auto drifted = original[500].item<double>() + 1e-9;
  const auto verdict = check();
  if (comm.size() == 2) {  // nobody knows which is right
    EXPECT_EQ(verdict.reference, 0);
    EXPECT_EQ(verdict.different_ranks, std::vector<int>{1});
    EXPECT_EQ(weights[500].item<double>(), drifted);
  } else {
    EXPECT_EQ(verdict.reference, 1);
    EXPECT_EQ(verdict.different_ranks, std::vector<int>{0});
    EXPECT_THAT(verdict.warning(), HasSubstr("the state of rank 0 had drifted from rank 1's"));
    EXPECT_TRUE(torch::equal(weights, original));
  }
  EXPECT_FALSE(check().mended());
}

/// One bit of one number, as memory without error correction loses it: [0] is the lowest of the
/// mantissa, [62] the highest of the exponent.
void flip_bit(torch::Tensor& tensor, std::int64_t index, int bit) {
  auto* const numbers = static_cast<std::uint64_t*>(tensor.data_ptr());
  numbers[index] ^= std::uint64_t{1} << bit;
}

TEST_F(ReplicaCheckTest, a_flipped_bit_is_seen_whichever_it_is) {
  if (alone()) return;
  for (const int bit : {0, 20, 31}) {
    if (comm.rank() == last) flip_bit(moments, 900, bit);
    const auto verdict = check();
    EXPECT_EQ(verdict.different_ranks, std::vector<int>{last}) << bit;
    EXPECT_TRUE(torch::equal(moments, original)) << bit;
  }
  for (const int bit : {45, 52, 58, 62, 63}) {
    const auto kept = moments.clone();
    if (comm.rank() == last) flip_bit(moments, 900, bit);
    const auto sentence = complaint();
    if (comm.size() == 2) {
      EXPECT_THAT(sentence, HasSubstr("ranks 0, 1 differ from one another")) << bit;
    } else {
      EXPECT_THAT(sentence, HasSubstr("the state of rank " + std::to_string(last) + " differs"))
          << bit;
    }
    moments.copy_(kept);
  }
}

TEST_F(ReplicaCheckTest, drift_in_any_tensor_is_seen) {
  if (alone()) return;
  if (comm.rank() == last) moments[3] += 1e-8;
  EXPECT_TRUE(check().mended());
  EXPECT_TRUE(torch::equal(moments, original));
}

TEST_F(ReplicaCheckTest, weights_that_need_a_gradient_are_mended) {
  if (alone()) return;
  if (comm.rank() == last) weights[1] += 1e-9;
  weights.set_requires_grad(true);
  EXPECT_TRUE(check().mended());
  EXPECT_FALSE(check().mended());
}

TEST_F(ReplicaCheckTest, more_drift_ends_with_the_minority_named) {
  if (alone()) return;
  if (comm.rank() == 0) weights[500] += 1e-3;  // rank 0 itself is the odd one
  const auto sentence = complaint();
  EXPECT_THAT(sentence, HasSubstr("at step 17"));
  if (comm.size() == 2) {
    EXPECT_THAT(sentence, HasSubstr("ranks 0, 1 differ from one another"));
  } else {
    EXPECT_THAT(sentence, HasSubstr("the state of rank 0 differs from that of the other ranks"));
  }
}

TEST_F(ReplicaCheckTest, a_nan_on_one_rank_is_never_mended) {
  if (alone()) return;
  if (comm.rank() == last) weights[7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(complaint(), HasSubstr("(relative drift inf, "));
}

TEST_F(ReplicaCheckTest, drift_beyond_the_limit_ends) {
  if (alone()) return;
  if (comm.rank() == last) weights[500] += 2e-6;
  EXPECT_THAT(complaint(), HasSubstr("restart from the last checkpoint"));
}

}  // namespace
}  // namespace gondola
