#include "trainer/model_flop.hpp"

#include "trainer/decoders/conv_plan.hpp"

namespace gondola {
namespace {

/// Of a SIREN at the coordinates of the outer pass. The latent's part of the first layer is the
/// same at all of them, and left out.
double siren_forward(const RunConfig& config, const ImageShape& shape) {
  const auto hidden = static_cast<double>(config.model.hidden);
  const auto layers = static_cast<double>(config.model.layers);
  const auto drawn = config.coordinates.outer.count;
  const auto points = static_cast<double>(drawn > 0 ? drawn : shape.height * shape.width);
  return 2 * points * hidden * (2 + hidden * (layers - 1) + static_cast<double>(shape.channels));
}

/// Each pixel of a layer's input meets the whole kernel.
double conv_forward(const RunConfig& config, const ImageShape& shape) {
  double result = 0;
  auto side = config.latent.spatial;
  for (const auto& layer : conv_plan(config.latent.size, config.latent.spatial,
                                     config.model.filters, shape.channels, shape.height)) {
    result += 2 * static_cast<double>(side * side * layer.kernel * layer.kernel) *
              static_cast<double>(layer.in * layer.out);
    side = (side - 1) * layer.stride - 2 * layer.padding + layer.kernel;
  }
  return result;
}

/// An encoder network is the decoder's mirror image.
bool has_encoder(Family family) {
  return family == Family::kAutoencoder || family == Family::kTiedAutoencoder ||
         family == Family::kVae;
}

}  // namespace

double flop_per_image(const RunConfig& config, const ImageShape& shape) {
  const auto forward = config.model.decoder == DecoderKind::kConv ? conv_forward(config, shape)
                                                                  : siren_forward(config, shape);
  return 3 * forward * (has_encoder(config.model.family) ? 2 : 1);
}

}  // namespace gondola
