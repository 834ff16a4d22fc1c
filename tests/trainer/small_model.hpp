#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "configs/run_config.hpp"
#include "trainer/model.hpp"

namespace gondola {

/// A model of a few hundred parameters in float64, for tests that look at exactness.
inline RunConfig small_config(DecoderKind decoder, Precision precision = Precision::kFloat64) {
  RunConfig config;
  config.model.decoder = decoder;
  config.model.activation =
      decoder == DecoderKind::kConv ? ActivationKind::kElu : ActivationKind::kSin;
  config.model.hidden = 12;
  config.model.layers = 3;
  config.model.w0 = 5;
  config.model.filters = 3;
  config.latent.size = 4;
  config.latent.step_size = 0.02;
  config.trainer.precision = precision;
  config.run.seed = 11;
  return config;
}

/// Moves every parameter by up to `bound`, so that gains are not 1 and shifts are not 0.
inline void move_parameters(Decoder& decoder, double bound, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  auto& flat = decoder.parameters().flat();
  const auto generator = at::detail::createCPUGenerator(seed);
  flat.add_(torch::empty_like(flat).uniform_(-bound, bound, generator));
}

/// Uniform in [0, 1], the same for the same seed.
inline torch::Tensor random_images(at::IntArrayRef shape, std::uint64_t seed,
                                   torch::ScalarType dtype = torch::kFloat64) {
  return torch::empty(shape, dtype).uniform_(0, 1, at::detail::createCPUGenerator(seed));
}

}  // namespace gondola
