#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Trains the model of `config` on the training split of `path` for a few steps, on one rank, and
/// measures how long each step waits for its batch: {"bench": "loader", "case": "training step",
/// ..} with the share of the step's time. @throws ConfigError, DataError
[[nodiscard]] nlohmann::ordered_json bench_loader_wait(const RunConfig& config,
                                                       const std::string& path);

}  // namespace gondola
