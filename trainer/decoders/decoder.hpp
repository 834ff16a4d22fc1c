#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "trainer/coordinates/grid.hpp"
#include "trainer/kernels/matrix_product.hpp"
#include "trainer/layers/batch_norm.hpp"
#include "trainer/parameters.hpp"

namespace gondola {

/// The inner pass at z = 0 of every image of a batch, times the weight of the coordinates.
struct OriginGradient {
  torch::Tensor gradient;  ///< Like the latents; differentiable once more in the parameters.
  torch::Tensor loss;      ///< [B], detached: squared error of F(0); outside training it may be
                           ///< left out.
};

class OverlappedReduction;

/// How a decoder is run.
struct Pass {
  Normalisation normalisation = Normalisation::kBatch;
  const Coordinates* coordinates =
      nullptr;  ///< Implicit models: where; nullptr: the training grid.
  std::vector<PassStatistics>* record =
      nullptr;  ///< Each pass with batch statistics appends what it normalised with.
  /// Where set, the backward pass of gradient_at_origin() adds over the ranks what the parameters'
  /// gradient depends on the batch through, and gives each rank that of all ranks' images.
  OverlappedReduction* reduction = nullptr;
};

/// The values of `images` where a pass looks: the same for the training grid, else as values_at()
/// gives them, [B, C, N].
[[nodiscard]] inline torch::Tensor values_in(const torch::Tensor& images, const Pass& pass) {
  return pass.coordinates == nullptr ? images : values_at(images, *pass.coordinates);
}

/// What a sum over the pixels that a pass sees is multiplied with, to stand for all pixels.
[[nodiscard]] inline double weight_in(const Pass& pass) {
  return pass.coordinates == nullptr ? 1 : pass.coordinates->weight;
}

/// The one network F of a GON.
///
/// Shapes: B images of this rank (may be 0), C channels, H x W pixels; latents [B, k] or, spatial,
/// [B, k, s, s].
class Decoder {
 public:
  /// @param parameters of the model that the decoder is part of.
  explicit Decoder(std::shared_ptr<Parameters> parameters) : parameters_(std::move(parameters)) {}
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// latents -> images [B, C, H, W], or [B, C, N] for a subset of the coordinates. Differentiable
  /// twice. Collective where batch norm is synchronised and `pass` asks for Normalisation::kBatch.
  [[nodiscard]] virtual torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) = 0;

  /// The squared error of what latents decode to, summed over everything but the batch, times the
  /// weight of the coordinates: [B]. A decoder may make it in less memory than the images take.
  /// images [B, C, H, W], or as values_at() takes them, and u8 where takes_bytes().
  [[nodiscard]] virtual torch::Tensor squared_error(const torch::Tensor& latents,
                                                    const torch::Tensor& images, const Pass& pass) {
    return (decode(latents, pass) - values_in(images, pass)).square().flatten(1).sum(1) *
           weight_in(pass);
  }

  /// Whether squared_error() and gradient_at_origin() take u8 pixels for values, which are these
  /// divided by 255, and convert them part by part: a batch then never lies in memory as values.
  [[nodiscard]] virtual bool takes_bytes() const { return false; }

  /// Who multiplies float32 matrices on a CPU, where the decoder leaves that to its user.
  [[nodiscard]] virtual MatrixProduct product() const { return {}; }
  virtual void set_product(MatrixProduct /*product*/) {}

  /// Shape of one latent: {k} or {k, s, s}.
  [[nodiscard]] virtual std::vector<std::int64_t> latent_shape() const = 0;

  /// Whether batch statistics couple the images of a batch under `normalisation`.
  [[nodiscard]] virtual bool couples_images(Normalisation normalisation) const = 0;

  /// Whether gradient_at_origin() is there under `normalisation`.
  [[nodiscard]] virtual bool shares_origin(Normalisation normalisation) const = 0;

  /// d (sum over the batch of the squared error) / d z_b at z = 0 for every image, in closed form:
  /// all images have the same pass through the origin, which is made once. images as above;
  /// mean_image [1, C, H, W] = mean over the whole (global) batch, for coupled images. Not
  /// collective: a coupling enters through the mean image alone. REQUIRES shares_origin(), and for
  /// a Pass::reduction origin_sums() > 0.
  [[nodiscard]] virtual OriginGradient gradient_at_origin(const torch::Tensor& images,
                                                          const torch::Tensor& mean_image,
                                                          std::int64_t global_images,
                                                          const Pass& pass) = 0;

  /// What Pass::reduction comes to: how many numbers of a training batch the gradient of the
  /// parameters through gradient_at_origin() depends on; 0 where it depends on each image.
  /// @param points of the pass; 0: the training grid's.
  [[nodiscard]] virtual std::int64_t origin_sums(std::int64_t /*points*/,
                                                 std::int64_t /*global_images*/) const {
    return 0;
  }

  /// All tensors of the model, those of its other parts too.
  [[nodiscard]] Parameters& parameters() const { return *parameters_; }

 protected:
  [[nodiscard]] const std::shared_ptr<Parameters>& shared_parameters() const { return parameters_; }

 private:
  std::shared_ptr<Parameters> parameters_;
};

}  // namespace gondola
