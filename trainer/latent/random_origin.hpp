#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gondola {

/// Normal origins of stddev `stddev`, one per image id, each keyed by (seed, purpose, step, id):
/// [B, k(, s, s)].
[[nodiscard]] torch::Tensor random_origins(const std::vector<std::int64_t>& latent_shape,
                                           std::span<const std::int64_t> ids, double stddev,
                                           std::uint64_t seed, std::string_view purpose,
                                           std::int64_t step, const torch::TensorOptions& options);

}  // namespace gondola
