#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "trainer/parallel/bucket_choice.hpp"

namespace gondola {

/// What is about to be trained, in aligned lines for rank 0 to print: data, model, latent, batch,
/// schedule, ranks.
/// @param parameters the flat parameters. @param held_out nullptr where there is none.
[[nodiscard]] std::vector<std::string> plan_lines(const RunConfig& config, const ImageSource& train,
                                                  const ImageSource* held_out,
                                                  const torch::Tensor& parameters,
                                                  const std::string& binding, int world);

/// How the gradient is cut for its all-reduce, and by what figures; none where it is not.
[[nodiscard]] std::vector<std::string> reduction_lines(const BucketChoice& bucket,
                                                       std::int64_t gradient_bytes, int world);

}  // namespace gondola
