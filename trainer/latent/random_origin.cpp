#include "trainer/latent/random_origin.hpp"

#include <utility>

#include "trainer/random.hpp"

namespace gondola {

torch::Tensor random_origins(const std::vector<std::int64_t>& latent_shape,
                             std::span<const std::int64_t> ids, double stddev, std::uint64_t seed,
                             std::string_view purpose, std::int64_t step,
                             const torch::TensorOptions& options) {
  auto shape = latent_shape;
  shape.insert(shape.begin(), static_cast<std::int64_t>(ids.size()));
  auto origins = torch::empty(shape, torch::kFloat64);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    origins[static_cast<std::int64_t>(i)].normal_(
        0, stddev,
        keyed_generator(seed, purpose, static_cast<std::uint64_t>(step),
                        static_cast<std::uint64_t>(ids[i])));
  }
  return origins.to(options);
}

Noise keyed_noise(std::vector<std::int64_t> latent_shape, std::span<const std::int64_t> ids,
                  std::uint64_t seed, std::string prefix, std::int64_t step,
                  const torch::TensorOptions& options) {
  return [shape = std::move(latent_shape), own = std::vector<std::int64_t>(ids.begin(), ids.end()),
          seed, prefix = std::move(prefix), step, options](std::string_view purpose) {
    return random_origins(shape, own, /*stddev=*/1, seed, prefix + std::string(purpose), step,
                          options);
  };
}

}  // namespace gondola
