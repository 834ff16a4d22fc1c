#pragma once

#include <functional>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// What a step of the siren decoder adds to the memory of a process that has made smaller ones
/// (contract C8): 1x28x28 in batches of trainer.batch_size, then the exact gradient of 8 images of
/// 128x128 and of 1024x1024. One JSON object a line. @throws ConfigError for another decoder, and
/// where the system does not tell a process its memory.
void bench_memory(const RunConfig& config,
                  const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
