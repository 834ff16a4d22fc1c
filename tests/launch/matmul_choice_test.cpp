#include "launch/matmul_choice.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/types.h>

#include "configs/option_table.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

class MatmulChoice : public testing::Test {
 protected:
  MatmulChoice() { siren.model.decoder = DecoderKind::kSiren; }

  Matmul choice(const RunConfig& config, torch::Device device = torch::kCPU) {
    return choose_matmul(config, device, /*resume_from=*/std::nullopt, control);
  }

  CollectiveProgress progress;
  MpiCommunicator control{MPI_COMM_WORLD, progress};
  RunConfig siren = default_config();
};

TEST_F(MatmulChoice, all_ranks_get_that_of_rank_zero) {
  siren.model.activation = ActivationKind::kSin;
  const auto mine = choice(siren);
  EXPECT_NE(mine, Matmul::kAuto);
  auto first = torch::tensor(static_cast<std::int64_t>(mine));
  control.broadcast(first, 0);
  EXPECT_EQ(static_cast<std::int64_t>(mine), first.item<std::int64_t>());
}

TEST_F(MatmulChoice, a_convolutional_decoder_has_one_too) {
  auto conv = default_config();
  conv.model.decoder = DecoderKind::kConv;
  EXPECT_TRUE(has_matmul_choice(conv, torch::kCPU));
  conv.trainer.precision = Precision::kFloat64;
  EXPECT_FALSE(has_matmul_choice(conv, torch::kCPU));
  EXPECT_EQ(choice(conv), Matmul::kAten);
}

TEST_F(MatmulChoice, aten_multiplies_where_there_is_no_choice) {
  siren.model.activation = ActivationKind::kSin;
  EXPECT_TRUE(has_matmul_choice(siren, torch::kCPU));
  EXPECT_FALSE(has_matmul_choice(siren, torch::Device(torch::kCUDA, 0)));
  EXPECT_EQ(choice(siren, torch::Device(torch::kCUDA, 0)), Matmul::kAten);
  auto other = siren;
  other.trainer.precision = Precision::kFloat64;
  EXPECT_EQ(choice(other), Matmul::kAten);
  other = siren;
  other.model.activation = ActivationKind::kTanh;
  EXPECT_EQ(choice(other), Matmul::kAten);
  other = siren;
  other.parallel.deterministic = true;
  EXPECT_EQ(choice(other), Matmul::kAten);
}

}  // namespace
}  // namespace gondola
