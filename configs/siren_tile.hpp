#pragma once

#include <cstdint>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Bytes of work space that a row of a SIREN's tile, one image at one coordinate, takes: the sines
/// of L layers, the cosines of all but the first, and two gradients, of h values each.
[[nodiscard]] inline std::int64_t tile_row_bytes(const RunConfig& config) {
  const std::int64_t value = config.trainer.precision == Precision::kFloat64 ? 8 : 4;
  return (2 * config.model.layers + 1) * config.model.hidden * value;
}

/// What is wrong with trainer.tile_bytes, or nothing.
[[nodiscard]] std::string tile_problem(const RunConfig& config);

}  // namespace gondola
