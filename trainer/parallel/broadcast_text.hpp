#pragma once

#include <string>

#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Collective. Rank 0's text, on all ranks.
/// @param control a communicator for CPU tensors. @throws CommError
[[nodiscard]] std::string broadcast_text(Communicator& control, std::string text);

}  // namespace gondola
