#pragma once

#include <memory>

#include "configs/run_config.hpp"
#include "trainer/model.hpp"
#include "trainer/objectives/objective.hpp"

namespace gondola {

/// The objective of a config's family, which declares what the family has beside the decoder.
/// @param decoder outlives it. @throws ConfigError for a family that needs what is not there
[[nodiscard]] std::unique_ptr<Objective> make_objective(
    const RunConfig& config, const ModelUse& use, const std::shared_ptr<Parameters>& parameters,
    Decoder& decoder);

}  // namespace gondola
