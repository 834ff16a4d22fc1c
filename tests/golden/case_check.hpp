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

/// Raises `worst` to `error`; an error that is not finite is the worst of all.
void raise(double& worst, double error);

/// Collective. Runs the method of a golden file in `dtype` on this rank's slice of its batch and
/// compares every quantity with the file. The result is the same on all ranks. @throws
/// UnknownMethod
[[nodiscard]] Checks check_case(const GoldenFile& file, torch::ScalarType dtype,
                                Communicator& communicator);

}  // namespace gondola::golden
