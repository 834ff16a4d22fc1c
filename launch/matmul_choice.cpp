#include "launch/matmul_choice.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "configs/config_io.hpp"
#include "configs/value_text.hpp"
#include "launch/rank_zero.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/kernels/matrix_product.hpp"

namespace gondola {

namespace {

/// The layer whose products take the most time.
ProductShape shape_of_layer(const ModelSection& model) {
  if (model.decoder == DecoderKind::kSiren) return {};
  // All hidden layers of a convolutional decoder take as many operations; the last of them has the
  // most pixels, and takes 2 f channels to patches of 4 x 4 x f values.
  const auto in = 2 * model.filters;
  const auto out = 16 * model.filters;
  constexpr std::int64_t kProducts = std::int64_t{1} << 24;  // which take a millisecond
  return {.rows = std::clamp<std::int64_t>(kProducts / (in * out), 64, 1024), .in = in, .out = out};
}

}  // namespace

bool has_matmul_choice(const RunConfig& config, torch::Device device) {
  const bool conv = config.model.decoder == DecoderKind::kConv;
  return device.is_cpu() && (conv || config.model.activation == ActivationKind::kSin) &&
         config.trainer.precision == Precision::kFloat32;
}

Matmul choose_matmul(const RunConfig& config, torch::Device device,
                     const std::optional<std::filesystem::path>& resume_from,
                     Communicator& control) {
  const auto word = decide_on_rank_zero(control, [&]() -> std::string {
    if (resume_from) {
      const auto saved =
          from_ini(read_origin(*resume_from).config_ini, resume_from->string()).trainer.matmul;
      if (saved != Matmul::kAuto) return to_text(saved);
    }
    const bool measures = has_matmul_choice(config, device) && !config.parallel.deterministic;
    const bool onednn =
        measures && faster_library(shape_of_layer(config.model)) == ProductLibrary::kOneDnn;
    return to_text(onednn ? Matmul::kOneDnn : Matmul::kAten);
  });
  auto choice = Matmul::kAten;
  (void)from_text(word, choice);
  return choice;
}

}  // namespace gondola
