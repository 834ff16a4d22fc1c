#include "trainer/parameters.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace gondola {
namespace {

Parameters two(std::uint64_t seed, torch::ScalarType dtype = torch::kFloat64) {
  Parameters parameters;
  EXPECT_EQ(parameters.declare({{.name = "a", .shape = {3, 4}, .bound = 0.5}}), 0U);
  EXPECT_EQ(parameters.declare({{.name = "b", .shape = {5}, .bound = 0.1, .center = 1}}), 1U);
  EXPECT_EQ(parameters.declare_averages("n", 6), 0U);
  parameters.allocate(dtype, torch::kCPU, seed);
  return parameters;
}

TEST(Parameters, tensors_are_slices_of_one_buffer) {
  auto parameters = two(1);
  parameters.flat().fill_(7);
  EXPECT_EQ(parameters.flat().numel(), 17);
  EXPECT_EQ(parameters[1].sum().item<double>(), 35);
}

TEST(Parameters, backward_accumulates_into_the_flat_gradient) {
  auto parameters = two(1);
  for (int pass = 0; pass < 2; ++pass) (parameters[0].sum() + 2 * parameters[1].sum()).backward();
  EXPECT_EQ(parameters.flat_gradient().sum().item<double>(), 2 * (12 + 2 * 5));
  parameters.zero_gradient();
  (3 * parameters[1].sum()).backward();
  EXPECT_EQ(parameters.flat_gradient().narrow(0, 12, 5).sum().item<double>(), 15);
}

TEST(Parameters, nothing_is_declared_once_they_are_allocated) {
  auto parameters = two(1);
  EXPECT_EQ(parameters.running_averages()[0].variance.sum().item<double>(), 6);
  EXPECT_THROW(parameters.declare({{.name = "c", .shape = {1}}}), c10::Error);
  EXPECT_THROW(parameters.declare_averages("m", 1), c10::Error);
}

TEST(Parameters, draws_depend_on_seed_and_name_alone) {
  EXPECT_TRUE(two(3).flat().equal(two(3).flat()));
  EXPECT_FALSE(two(3).flat().equal(two(4).flat()));
  // Single precision is the double precision draw, rounded.
  EXPECT_TRUE(two(3).flat().to(torch::kFloat32).equal(two(3, torch::kFloat32).flat()));
  const auto b = two(3)[1];
  EXPECT_GE(b.min().item<double>(), 0.9);
  EXPECT_LE(b.max().item<double>(), 1.1);
}

}  // namespace
}  // namespace gondola
