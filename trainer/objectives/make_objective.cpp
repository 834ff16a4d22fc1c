#include "trainer/objectives/make_objective.hpp"

#include <array>

#include "trainer/latent/latent_encoder.hpp"
#include "trainer/layers/linear.hpp"
#include "trainer/objectives/autoencoder.hpp"
#include "trainer/objectives/classification.hpp"
#include "trainer/objectives/latent_optimisation.hpp"
#include "trainer/objectives/reconstruction.hpp"
#include "trainer/objectives/variational_autoencoder.hpp"
#include "trainer/objectives/variational_gon.hpp"

namespace gondola {
namespace {

/// What a family is made of.
struct Parts {
  const RunConfig& config;
  const ModelUse& use;
  const std::shared_ptr<Parameters>& parameters;
  Decoder& decoder;

  [[nodiscard]] double batch() const { return static_cast<double>(config.trainer.batch_size); }
  /// Of the squared error.
  [[nodiscard]] double published() const {
    return published_scale(config.model.decoder, config.trainer.batch_size, use.shape.channels,
                           use.shape.height, use.shape.width);
  }
  [[nodiscard]] double step_size() const { return resolved_step_size(config, use.shape); }
  [[nodiscard]] GonEncoding encoding() const {
    return {resolved_latent(config, use.shape), step_size(), decoder};
  }
  [[nodiscard]] ConvEncoder encoder(bool tied) const {
    const auto* mirrored = dynamic_cast<const ConvDecoder*>(&decoder);
    TORCH_CHECK(mirrored != nullptr, "an encoder network mirrors a convolutional decoder");
    return {config.model, *mirrored, tied, parameters, use.communicator};
  }
  [[nodiscard]] VariationalDecoder variational() const {
    return {parameters, decoder, config.model.decoder == DecoderKind::kSiren,
            config.model.divergence_weight};
  }
};

std::unique_ptr<Objective> make_reconstruction(const Parts& parts) {
  return std::make_unique<Reconstruction>(parts.encoding(), parts.decoder, parts.published());
}

std::unique_ptr<Objective> make_classification(const Parts& parts) {
  const bool joint = parts.config.model.family == Family::kJoint;
  TORCH_CHECK(parts.config.model.classes > 0, "the number of classes is not known");
  const double scale = joint ? parts.published() : 1 / parts.batch();
  // joint: published mean error + class_weight * mean cross entropy, divided by the former's scale.
  const double weight =
      joint ? parts.config.model.class_weight / parts.batch() / parts.published() : 1;
  return std::make_unique<Classification>(
      parts.parameters, parts.encoding(), parts.decoder, parts.config.model.classes,
      joint ? Classification::Decoding::kJoint : Classification::Decoding::kNone, weight, scale);
}

std::unique_ptr<Objective> make_variational_gon(const Parts& parts) {
  return std::make_unique<VariationalGon>(parts.variational(), parts.config.latent,
                                          parts.step_size(), parts.decoder, 1 / parts.batch());
}

std::unique_ptr<Objective> make_autoencoder(const Parts& parts) {
  const bool tied = parts.config.model.family == Family::kTiedAutoencoder;
  return std::make_unique<Autoencoder>(parts.encoder(tied), parts.decoder, parts.published());
}

std::unique_ptr<Objective> make_variational_autoencoder(const Parts& parts) {
  auto encoder = parts.encoder(/*tied=*/false);
  return std::make_unique<VariationalAutoencoder>(std::move(encoder), parts.variational(),
                                                  1 / parts.batch());
}

std::unique_ptr<Objective> make_latent_optimisation(const Parts& parts) {
  const auto& latent = parts.config.latent;
  const auto options = torch::TensorOptions()
                           .dtype(storage_dtype(parts.config.trainer.precision))
                           .device(parts.use.device);
  std::unique_ptr<LatentTable> table;
  if (parts.use.training_images > 0) {
    table = std::make_unique<LatentTable>(parts.use.training_images, parts.decoder.latent_shape(),
                                          parts.config.optimizer, latent.table_rate,
                                          parts.config.run.seed, options, parts.use.communicator);
  }
  return std::make_unique<LatentOptimisation>(
      std::move(table),
      LatentSearch{.steps = latent.search_steps, .learning_rate = latent.search_rate},
      parts.config.optimizer, parts.decoder, parts.published(), parts.use.communicator);
}

struct Row {
  Family family;
  std::unique_ptr<Objective> (*make)(const Parts&);
};

/// The families.
constexpr std::array kTable = {
    Row{Family::kGon, make_reconstruction},
    Row{Family::kTranslation, make_reconstruction},
    Row{Family::kClassifier, make_classification},
    Row{Family::kJoint, make_classification},
    Row{Family::kVgon, make_variational_gon},
    Row{Family::kAutoencoder, make_autoencoder},
    Row{Family::kTiedAutoencoder, make_autoencoder},
    Row{Family::kVae, make_variational_autoencoder},
    Row{Family::kGlo, make_latent_optimisation},
};

}  // namespace

std::unique_ptr<Objective> make_objective(const RunConfig& config, const ModelUse& use,
                                          const std::shared_ptr<Parameters>& parameters,
                                          Decoder& decoder) {
  for (const auto& row : kTable) {
    if (row.family == config.model.family) return row.make({config, use, parameters, decoder});
  }
  TORCH_CHECK(false, "this family has no row in the table");
}

}  // namespace gondola
