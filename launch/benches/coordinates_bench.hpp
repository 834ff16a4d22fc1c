#pragma once

#include <functional>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Measures Monte Carlo coordinates of a SIREN after some steps of training with them, each as a
/// JSON object (a line): the error of the gradient against that of the full grid for each sampler,
/// at equal cost; and the seconds of a step with so many coordinates on images from 64x64 to
/// 1024x1024. Images are the first of data.path, or made.
/// @throws ConfigError for another decoder; as open_source
void bench_coordinates(RunConfig config, const std::function<void(const std::string&)>& print_line);

}  // namespace gondola
