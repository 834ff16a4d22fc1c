#pragma once

#include <functional>
#include <string>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Collective. Runs `decide` on rank 0 and gives every rank its result. An Error that it throws is
/// thrown on every rank alike, so that a finding about the file system, which ranks could see
/// differently, is one finding.
/// @param control a communicator for CPU tensors.
[[nodiscard]] std::string decide_on_rank_zero(Communicator& control,
                                              const std::function<std::string()>& decide);

}  // namespace gondola
