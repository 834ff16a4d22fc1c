#include "configs/siren_tile.hpp"

#include "configs/option_table.hpp"

namespace gondola {

std::string tile_problem(const RunConfig& config) {
  if (config.trainer.tile_bytes == 0) return "";
  const auto shown = [&](const std::string& name) { return name + " = " + value_of(config, name); };
  const auto named = shown("trainer.tile_bytes");
  if (config.model.decoder != DecoderKind::kSiren ||
      config.model.activation != ActivationKind::kSin) {
    return named +
           " has no effect without model.decoder = siren and model.activation = sin: leave it at "
           "auto";
  }
  if (config.trainer.tile_bytes >= tile_row_bytes(config)) return "";
  return named + " is less than the " + std::to_string(tile_row_bytes(config)) +
         " bytes of one image at one coordinate with " + shown("model.hidden") + " and " +
         shown("model.layers") + ": give some thousand times as much, or auto";
}

}  // namespace gondola
