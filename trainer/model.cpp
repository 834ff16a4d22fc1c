#include "trainer/model.hpp"

#include <string>

#include "configs/errors.hpp"
#include "trainer/decoders/conv_decoder.hpp"
#include "trainer/decoders/linear.hpp"
#include "trainer/decoders/siren_decoder.hpp"
#include "trainer/latent/double_backward_encoder.hpp"

namespace gondola {

std::unique_ptr<Decoder> make_decoder(const RunConfig& config, const ImageShape& shape,
                                      torch::Device device, Communicator* communicator) {
  const auto dtype = storage_dtype(config.trainer.precision);
  if (config.model.decoder == DecoderKind::kSiren) {
    return std::make_unique<SirenDecoder>(config.model, config.latent, shape.channels, shape.height,
                                          shape.width, dtype, config.trainer.precision, device,
                                          config.run.seed);
  }
  if (shape.height != shape.width) {
    throw ConfigError("a convolutional decoder makes square images, not " +
                      std::to_string(shape.height) + "x" + std::to_string(shape.width) +
                      "; import the images with --size, or take model.decoder = siren");
  }
  auto plan = conv_plan(config.latent.size, config.latent.spatial, config.model.filters,
                        shape.channels, shape.height);
  return std::make_unique<ConvDecoder>(config.model, config.latent, std::move(plan), dtype,
                                       config.trainer.precision, device, config.run.seed,
                                       communicator);
}

double outer_scale(const RunConfig& config, const ImageShape& shape) {
  return published_scale(config.model.decoder, config.trainer.batch_size, shape.channels,
                         shape.height, shape.width);
}

double resolved_step_size(const RunConfig& config, const ImageShape& shape) {
  return config.latent.step_size > 0 ? config.latent.step_size : outer_scale(config, shape);
}

torch::Tensor to_values(const torch::Tensor& pixels, torch::ScalarType dtype,
                        torch::Device device) {
  return pixels.to(device, /*non_blocking=*/true).to(dtype).div_(255);
}

}  // namespace gondola
