#pragma once

#include <functional>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Collective. Runs `action` on every rank and returns when all are done with it. What it throws on
/// some rank, the lowest, is thrown on every rank alike, so that none goes on or waits alone.
/// @param control a communicator for CPU tensors.
void run_together(Communicator& control, const std::function<void()>& action);

}  // namespace gondola
