#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/coordinates/grid.hpp"
#include "trainer/parameters.hpp"

namespace gondola {

/// The batch statistics that one normalisation layer saw in one pass.
struct LayerStatistics {
  torch::Tensor mean;      ///< [channels], bias included.
  torch::Tensor variance;  ///< [channels], unbiased: divided by n - 1.
};
/// One pass: a LayerStatistics for each normalisation layer, first layer first.
using PassStatistics = std::vector<LayerStatistics>;

/// The running averages of one normalisation layer, not trained.
struct RunningAverages {
  std::string name;    ///< "dec.bn0"
  torch::Tensor mean;  ///< [channels]
  torch::Tensor variance;
};

/// What batch norm normalises with.
enum class Normalisation {
  kBatch,    ///< The statistics of the batch (over all ranks when synchronised).
  kGroup,    ///< The statistics of the images at hand, on this rank alone.
  kRunning,  ///< The running averages, constants.
};

/// The inner pass at z = 0 of every image of a batch.
struct OriginGradient {
  torch::Tensor gradient;  ///< Like the latents; differentiable once more in the parameters.
  torch::Tensor loss;      ///< [B], detached: squared error of F(0).
};

/// How a decoder is run.
struct Pass {
  Normalisation normalisation = Normalisation::kBatch;
  const Coordinates* coordinates =
      nullptr;  ///< Implicit models: where; nullptr: the training grid.
  std::vector<PassStatistics>* record =
      nullptr;  ///< Each pass with batch statistics appends what it normalised with.
};

/// The one network F of a GON.
///
/// Shapes: B images of this rank (may be 0), C channels, H x W pixels; latents [B, k] or, spatial,
/// [B, k, s, s].
class Decoder {
 public:
  virtual ~Decoder() = default;
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// latents -> images [B, C, H, W], or [B, C, N] for a subset of the coordinates. Differentiable
  /// twice. Collective where batch norm is synchronised and `pass` asks for Normalisation::kBatch.
  [[nodiscard]] virtual torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) = 0;

  /// Shape of one latent: {k} or {k, s, s}.
  [[nodiscard]] virtual std::vector<std::int64_t> latent_shape() const = 0;

  /// Whether batch statistics couple the images of a batch under `normalisation`.
  [[nodiscard]] virtual bool couples_images(Normalisation normalisation) const = 0;

  /// Whether gradient_at_origin() is there under `normalisation`.
  [[nodiscard]] virtual bool shares_origin(Normalisation normalisation) const = 0;

  /// d (sum over the batch of the squared error) / d z_b at z = 0 for every image, in closed form:
  /// all images have the same pass through the origin, which is made once. images [B, C, H, W];
  /// mean_image [1, C, H, W] = mean over the whole (global) batch, for coupled images. Not
  /// collective: a coupling enters through the mean image alone. REQUIRES shares_origin().
  [[nodiscard]] virtual OriginGradient gradient_at_origin(const torch::Tensor& images,
                                                          const torch::Tensor& mean_image,
                                                          std::int64_t global_images,
                                                          const Pass& pass) = 0;

  [[nodiscard]] virtual Parameters& parameters() = 0;
  /// Empty without batch norm.
  [[nodiscard]] virtual std::vector<RunningAverages>& running_averages() = 0;

  /// running <- 0.9 running + 0.1 statistics of one pass; nothing changes where `skip` (0-dim: 0 or
  /// 1; undefined: 0) is 1, whatever the statistics are.
  void update_running_averages(const PassStatistics& statistics, const torch::Tensor& skip = {});
};

}  // namespace gondola
