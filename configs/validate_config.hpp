#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "configs/run_config.hpp"

namespace gondola {

/// What keeps a training run with this config from being possible, whatever its dataset and its
/// ranks are, beside values out of their range: one sentence each about options that do not go
/// together, with the value seen and the cure.
[[nodiscard]] std::vector<std::string> contradictions_of(const RunConfig& config);

/// @throws ConfigError when the decoder cannot make images of C channels and H x W pixels.
void check_image_size(const RunConfig& config, std::int64_t channels, std::int64_t height,
                      std::int64_t width);

/// @throws WorldError when parallel.expect_world is another number than `world_size`; ConfigError
///         when the global batch has fewer images than there are ranks.
void check_world(const RunConfig& config, std::int64_t world_size);

/// The options in which a resumed run may not differ from the saved one and does: one sentence
/// each, with both values. REQUIRES latent.step_size resolved in both or in neither.
[[nodiscard]] std::vector<std::string> resume_conflicts(const RunConfig& saved,
                                                        const RunConfig& now);

/// One ConfigError out of a list of problems: the sentence itself, or all of them on lines of their
/// own.
[[noreturn]] void throw_config_error(const std::vector<std::string>& problems);

}  // namespace gondola
