#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include "tests/support/aten_threads.hpp"
#include "tests/support/relative_error.hpp"
#include "tests/trainer/siren_problem.hpp"

namespace gondola {
namespace {

using siren_problem::Case;
using siren_problem::expect_equal;
using siren_problem::Problem;

/// Contract C2.
class EachSirenCase : public testing::TestWithParam<Case> {};

TEST_P(EachSirenCase, is_the_double_backward_step_to_1e_10_in_float64_and_2e_5_in_float32) {
  if (!is_available(GetParam().library)) GTEST_SKIP() << "this libtorch has no oneDNN";
  if (GetParam().device.is_cuda() && !torch::cuda::is_available()) {
    GTEST_SKIP() << "no CUDA device here";
  }
  const AtenThreads threads(GetParam().threads);
  const Problem exact(GetParam(), torch::kFloat64);
  const Problem single(GetParam(), torch::kFloat32);
  const auto expected = exact.naive();
  for (const auto outer : {Problem::Outer::kDecode, Problem::Outer::kSquaredError}) {
    SCOPED_TRACE(outer == Problem::Outer::kDecode ? "decode" : "squared_error");
    expect_equal(exact.fast(outer), expected, 1e-10);
    expect_equal(single.fast(outer), expected, 2e-5);
  }
}

/// Products of 8 bits, in single precision else.
TEST(SirenInBfloat16, gradients_stay_near_those_of_float64) {
  const Case rounded{
      .channels = 3, .side = 28, .images = 9, .hidden = 64, .library = ProductLibrary::kBf16};
  const auto expected = Problem(rounded, torch::kFloat64).naive();
  const Problem problem(rounded, torch::kFloat32);
  for (const auto outer : {Problem::Outer::kDecode, Problem::Outer::kSquaredError}) {
    const auto figures = problem.fast(outer);
    expect_equal(figures, expected, 0.1);
    EXPECT_GE(relative_error(figures[3], expected[3]), 1e-4) << "no product was in bfloat16";
  }
}

constexpr std::int64_t kNone = 0;

INSTANTIATE_TEST_SUITE_P(
    SirenFunctions, EachSirenCase,
    testing::Values(Case{.images = 2}, Case{.channels = 3}, Case{.images = 65},
                    Case{.channels = 3, .images = 65, .threads = 3},
                    Case{.channels = 3, .library = ProductLibrary::kOneDnn},
                    Case{.side = 28, .images = 9, .hidden = 64, .library = ProductLibrary::kOneDnn},
                    Case{.channels = 3, .tile_rows = 1}, Case{.images = 9, .tile_rows = 30},
                    Case{.images = 9, .threads = 2, .tile_rows = 120},
                    Case{.activation_bytes = kNone}, Case{.depth = 1}, Case{.depth = 2},
                    Case{.channels = 2, .depth = 5, .activation_bytes = kNone},
                    Case{.side = 28, .images = 64, .hidden = 64, .depth = 4},
                    Case{.side = 28, .images = 3, .hidden = 256, .depth = 4, .threads = 2},
                    Case{.channels = 3, .side = 33, .images = 2, .threads = 2},
                    Case{.side = 64, .images = 2, .hidden = 48, .activation_bytes = kNone},
                    Case{.channels = 3, .side = 64, .images = 7, .hidden = 33, .threads = 5},
                    Case{.side = 64, .images = 65, .hidden = 16, .depth = 2, .threads = 2}));

/// The last two take several tiles of images, and of coordinates.
INSTANTIATE_TEST_SUITE_P(
    gpu, EachSirenCase,
    testing::Values(
        Case{.images = 2, .device = torch::kCUDA},
        Case{.channels = 3, .images = 65, .device = torch::kCUDA},
        Case{.depth = 1, .device = torch::kCUDA},
        Case{.channels = 2, .depth = 5, .activation_bytes = kNone, .device = torch::kCUDA},
        Case{.side = 96, .images = 9, .hidden = 16, .device = torch::kCUDA, .tile_rows = 20000},
        Case{.channels = 3,
             .side = 192,
             .images = 2,
             .hidden = 16,
             .device = torch::kCUDA,
             .tile_rows = 20000}));

}  // namespace
}  // namespace gondola
