#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "configs/run_config.hpp"
#include "trainer/decoders/decoder.hpp"
#include "trainer/latent/inner_loss.hpp"

namespace gondola {

/// What is encoded. Shapes: B images of this rank (may be 0), C channels, H x W pixels.
struct EncoderInput {
  torch::Tensor images;      ///< [B, C, H, W] in [0, 1], the dtype of the parameters; or as
                             ///< values_at() takes them, u8 where the decoder takes_bytes().
  torch::Tensor mean_image;  ///< [1, C, H, W]: mean of the global batch, or of the training set;
                             ///< used when images are coupled.
  std::int64_t global_images = 0;  ///< Images of the global batch.
  torch::Tensor origin;            ///< [B, k(, s, s)] random origins, or undefined for z0 = 0.
};

/// The latents of a batch and the loss that their images have at the origin.
struct Encoding {
  torch::Tensor latents;     ///< [B, k(, s, s)]
  torch::Tensor inner_loss;  ///< [B], detached: squared error of F(z0); in training at least.
  /// Where Pass::reduction is set: the latents with their graph, `latents` being a leaf of their
  /// values, so that what comes behind is differentiated on its own.
  torch::Tensor encoded{};
};

/// Encodes images without an encoder network: a latent is one or several gradient steps away from
/// the origin (eq. 8, 12),
///
///     z <- -s g  (update gradient)  or  z <- z - s g  (update descent),   g = d (sum over the
///     global batch of l_b) / d z,
///
/// l_b = inner loss of image b summed over C, H, W, never averaged, so that z_b does not depend on
/// how the batch is split. Where batch statistics couple the images, the sum is the global batch's.
///
/// The first step from z = 0 goes through the loss's closed form where it has one (InnerLoss::
/// at_origin), everything else through autograd's double backward; both give the same (C2).
class LatentEncoder {
 public:
  /// Whether the caller will differentiate through the encoding.
  enum class Graph {
    kKeep,  ///< Training: the outer loss needs second derivatives (unless latent.detach).
    kDrop,  ///< Evaluation: the result is detached, activations are freed.
  };

  /// @param config its path: auto shares the origin wherever that can be done.
  /// @param step_size s, resolved (never auto).
  LatentEncoder(const LatentSection& config, double step_size);

  /// Leaves every parameter's gradient untouched; works under NoGradGuard. Collective where the
  /// loss is. @param origin z0 [B, k(, s, s)]. @param is_zero whether it is 0 everywhere.
  [[nodiscard]] Encoding encode(const InnerLoss& loss, const torch::Tensor& origin, bool is_zero,
                                Graph graph) const;
  /// The same for the squared error of the decoder's images.
  [[nodiscard]] Encoding encode(Decoder& decoder, const EncoderInput& input, Graph graph,
                                const Pass& pass) const;

  /// Whether the graph of an encoding of squared errors from z0 = 0 is that of one
  /// Decoder::gradient_at_origin(), so that a Pass::reduction can be used. Of the configuration
  /// alone.
  [[nodiscard]] bool is_one_shared_step(const Decoder& decoder) const;

 private:
  LatentSection config_;
  double step_size_;
};

/// z = 0 for each of the images: [B, k(, s, s)].
[[nodiscard]] torch::Tensor zero_origin(const Decoder& decoder, const torch::Tensor& images);

/// The published scale of the inner gradient of the squared error for a global batch of B images:
/// 1/(B C) for implicit models, 1/(B H W) for convolutional ones. The outer loss has the same
/// scale.
[[nodiscard]] double published_scale(DecoderKind decoder, std::int64_t batch_size,
                                     std::int64_t channels, std::int64_t height,
                                     std::int64_t width);

}  // namespace gondola
