#pragma once

#include <map>
#include <string>

#include "tests/golden/golden_file.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola::golden {

/// The largest error of one quantity and what is allowed.
struct Check {
  double error = 0;  ///< max|a - b| / max|b|, or absolute where `absolute`.
  double tolerance = 0;
  bool absolute = false;
};

/// Everything compared in one file, by quantity ("latent", "grads", ...), the worst tensor of each.
using Checks = std::map<std::string, Check>;

/// The batch of `images` that a rank takes: as uneven as it gets, the last rank half, the one
/// before half of the rest, ...
struct Slice {
  std::int64_t first = 0, count = 0;
};
[[nodiscard]] Slice uneven_slice(std::int64_t images, int rank, int world);

/// Collective. Runs the method of a golden file in `dtype` on this rank's slice of its batch and
/// compares every quantity with the file. The result is the same on all ranks. @throws
/// UnknownMethod
[[nodiscard]] Checks check_case(const GoldenFile& file, torch::ScalarType dtype,
                                Communicator& communicator);

/// The parts of utilities.h5 that have code here. `folder` holds the cases it refers to.
[[nodiscard]] Checks check_utilities(const GoldenFile& file, const std::string& folder);

/// The file asks for a model family that this program does not have.
struct UnknownMethod : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace gondola::golden
