#include "trainer/model.hpp"

#include <string>

#include "configs/errors.hpp"
#include "configs/siren_tile.hpp"
#include "trainer/decoders/conv_decoder.hpp"
#include "trainer/decoders/siren_decoder.hpp"
#include "trainer/latent/latent_encoder.hpp"
#include "trainer/layers/linear.hpp"
#include "trainer/objectives/make_objective.hpp"

namespace gondola {

namespace {

/// Declares the decoder's parameters in `parameters`.
std::unique_ptr<Decoder> declare_decoder(const RunConfig& config, const ModelUse& use,
                                         const std::shared_ptr<Parameters>& parameters) {
  const auto& shape = use.shape;
  if (config.model.decoder == DecoderKind::kSiren) {
    auto siren = std::make_unique<SirenDecoder>(config.model, config.latent, shape.channels,
                                                shape.height, shape.width, config.trainer.precision,
                                                use.device, parameters);
    set_matmul(*siren, config.trainer);
    siren->set_tile_rows(config.trainer.tile_bytes / tile_row_bytes(config));
    return siren;
  }
  if (shape.height != shape.width) {
    throw ConfigError("a convolutional decoder makes square images, not " +
                      std::to_string(shape.height) + "x" + std::to_string(shape.width) +
                      "; import the images with --size, or take model.decoder = siren");
  }
  auto plan = conv_plan(config.latent.size, config.latent.spatial, config.model.filters,
                        shape.channels, shape.height);
  auto conv = std::make_unique<ConvDecoder>(config.model, config.latent, std::move(plan),
                                            config.trainer.precision, parameters, use.communicator);
  set_matmul(*conv, config.trainer);
  return conv;
}

}  // namespace

void set_matmul(Decoder& decoder, const TrainerSection& trainer) {
  if (trainer.precision == Precision::kBf16) return;  // which has products of its own
  const bool onednn = trainer.matmul == Matmul::kOneDnn;
  if (onednn && !is_available(ProductLibrary::kOneDnn)) {
    throw ConfigError(
        "trainer.matmul is onednn, but this libtorch was built without oneDNN: take one that has "
        "it, or start a run with trainer.matmul = aten");
  }
  const auto library = onednn ? ProductLibrary::kOneDnn : ProductLibrary::kAten;
  decoder.set_product({library, library});
}

Model make_model(const RunConfig& config, const ModelUse& use) {
  const auto parameters = std::make_shared<Parameters>();
  Model model;
  model.decoder = declare_decoder(config, use, parameters);
  model.objective = make_objective(config, use, parameters, *model.decoder);
  parameters->allocate(storage_dtype(config.trainer.precision), use.device, config.run.seed);
  return model;
}

std::unique_ptr<Decoder> make_decoder(const RunConfig& config, const ImageShape& shape,
                                      torch::Device device, Communicator* communicator) {
  const auto parameters = std::make_shared<Parameters>();
  auto decoder = declare_decoder(
      config, {.shape = shape, .device = device, .communicator = communicator}, parameters);
  parameters->allocate(storage_dtype(config.trainer.precision), device, config.run.seed);
  return decoder;
}

double resolved_step_size(const RunConfig& config, const ImageShape& shape) {
  if (config.latent.step_size > 0) return config.latent.step_size;
  if (config.model.family == Family::kVgon) {
    return 1.0 / static_cast<double>(config.trainer.batch_size);
  }
  return published_scale(config.model.decoder, config.trainer.batch_size, shape.channels,
                         shape.height, shape.width);
}

LatentSection resolved_latent(const RunConfig& config, const ImageShape& shape) {
  auto latent = config.latent;
  // B images cost 9 B units of N rows by double backward, 3 B + 3 + 3 C with the shared origin.
  const bool pays = 2 * config.trainer.batch_size > 1 + shape.channels;
  if (latent.path == LatentPath::kAuto && config.model.decoder == DecoderKind::kSiren && !pays) {
    latent.path = LatentPath::kDoubleBackward;
  }
  return latent;
}

std::string path_in_words(const RunConfig& config, const ImageShape& shape) {
  const auto& latent = config.latent;
  const bool siren = config.model.decoder == DecoderKind::kSiren;
  switch (config.model.family) {
    case Family::kAutoencoder:
    case Family::kTiedAutoencoder:
    case Family::kVae:
      return "an encoder network";
    case Family::kGlo:
      return "one for each training image, optimised along";
    case Family::kVgon:
      return "double backward (each image has its own noise)";
    default:
      break;
  }
  if (latent.origin_stddev > 0) return "double backward (each image has a random origin)";
  if (!siren && config.model.batch_norm == BatchNormMode::kNone) {
    return "double backward (without batch norm this decoder shares no origin)";
  }
  if (latent.steps > 1) {
    return siren ? "double backward (only the first of several steps has a shared origin)"
                 : "double backward after the first step, whose origin is shared";
  }
  if (resolved_latent(config, shape).path != LatentPath::kDoubleBackward) return "shared origin";
  return latent.path == LatentPath::kDoubleBackward
             ? "double backward (latent.path)"
             : "double backward (the batch is too small to share the origin)";
}

torch::Tensor to_values(const torch::Tensor& pixels, torch::ScalarType dtype,
                        torch::Device device) {
  return pixels.to(device, /*non_blocking=*/true).to(dtype).div_(255);
}

}  // namespace gondola
