#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gondola {

/// Normal origins of stddev `stddev`, one per image id, each keyed by (seed, purpose, step, id):
/// [B, k(, s, s)].
[[nodiscard]] torch::Tensor random_origins(const std::vector<std::int64_t>& latent_shape,
                                           std::span<const std::int64_t> ids, double stddev,
                                           std::uint64_t seed, std::string_view purpose,
                                           std::int64_t step, const torch::TensorOptions& options);

/// Standard normal numbers for the images of a batch, the same for an image on any rank of any
/// number of ranks: `purpose` -> [B, k(, s, s)].
using Noise = std::function<torch::Tensor(std::string_view purpose)>;

/// Noise keyed by (seed, prefix + purpose, step, image id). @param ids are copied.
[[nodiscard]] Noise keyed_noise(std::vector<std::int64_t> latent_shape,
                                std::span<const std::int64_t> ids, std::uint64_t seed,
                                std::string prefix, std::int64_t step,
                                const torch::TensorOptions& options);

}  // namespace gondola
