#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "trainer/decoders/decoder.hpp"
#include "trainer/latent/random_origin.hpp"
#include "trainer/phase_timer.hpp"

namespace gondola {

/// What one pass sees of this rank's part of a global batch. Shapes: B images of this rank (may be
/// 0), C channels, H x W pixels.
struct ObjectiveBatch {
  torch::Tensor images;      ///< [B, C, H, W] in [0, 1], the dtype of the parameters; or, in a
                             ///< training step, as values_at() takes them, u8 where takes_bytes().
  torch::Tensor targets;     ///< The other modality, [B, C', H', W']; translation only.
  torch::Tensor labels;      ///< [B] int64; families that learn classes only.
  torch::Tensor mean_image;  ///< [1, C, H, W]: mean of the global batch, or of the training set;
                             ///< used where batch statistics couple the images.
  std::int64_t global_images = 0;        ///< Images that share batch statistics.
  std::vector<std::int64_t> global_ids;  ///< Of the whole global batch; `glo` only.
  std::int64_t first = 0;                ///< Where this rank's images begin among them.
  Noise noise;                           ///< Empty: no noise, means are taken.
};

/// What a training pass comes to, image by image.
struct Losses {
  torch::Tensor outer;  ///< [B], differentiable: its sum times scale() is minimised.
  torch::Tensor loss;   ///< [B], detached: what is reported as the loss.
  torch::Tensor inner;  ///< [B], detached: the loss at the origin; undefined without an inner pass.
  torch::Tensor latents;                       ///< [B, k(, s, s)]
  torch::Tensor encoded;                       ///< Encoding::encoded
  std::map<std::string, torch::Tensor> parts;  ///< More per-image values to report, [B] each.
};

/// What a model makes of images outside training.
struct Prediction {
  torch::Tensor latents;  ///< [B, k(, s, s)]
  torch::Tensor images;   ///< [B, C, H, W] in the model's range.
};

/// How the passes of a step are run.
struct Passes {
  Pass inner;  ///< Those that encode.
  Pass outer;  ///< All others.
};

/// A family of models (DESIGN "Models"): what is minimised, how images become latents and latents
/// images. A family is one file and one row of the table in make_objective.cpp.
class Objective {
 public:
  virtual ~Objective() = default;
  Objective() = default;
  Objective(const Objective&) = delete;
  Objective& operator=(const Objective&) = delete;

  /// The losses of a training batch, with the graph of `outer`. Collective where batch norm is
  /// synchronised under Normalisation::kBatch. @param timer told where the passes begin; nullptr:
  /// not wanted.
  [[nodiscard]] virtual Losses losses(const ObjectiveBatch& batch, const Passes& passes,
                                      PhaseTimer* timer) = 0;
  /// Whether losses() takes u8 pixels for images and targets, as Decoder::takes_bytes() has them.
  [[nodiscard]] virtual bool takes_bytes() const { return false; }
  /// Whether losses() may be given Pass::reduction for the inner pass. The gradient of `outer` then
  /// stops at Losses::latents, a leaf, and goes on from Losses::encoded.
  [[nodiscard]] virtual bool splits_at_latents() const { return false; }
  /// What the sum of Losses::outer over the global batch is multiplied with.
  [[nodiscard]] virtual double scale() const = 0;

  /// images -> latents outside training, without a graph; not collective.
  [[nodiscard]] virtual torch::Tensor encode(const ObjectiveBatch& batch, const Pass& pass) = 0;
  /// latents -> images outside training, without a graph; not collective.
  [[nodiscard]] virtual torch::Tensor decode(const torch::Tensor& latents, const Pass& pass) = 0;
  /// Whether what is decoded has a known prior, the standard normal distribution.
  [[nodiscard]] virtual bool has_prior() const { return false; }
  /// Draws from the prior [B, k] -> images. REQUIRES has_prior().
  [[nodiscard]] virtual torch::Tensor decode_prior(const torch::Tensor& /*normal*/,
                                                   const Pass& /*pass*/) {
    TORCH_CHECK(false, "this family has no prior");
  }

  /// Per-image values of a prediction [B]: "loss" (the family's own), and more by family. The
  /// common ones (psnr, ssim) are the evaluation's.
  [[nodiscard]] virtual std::map<std::string, torch::Tensor> measure(const Prediction& prediction,
                                                                     const ObjectiveBatch& batch,
                                                                     const Pass& pass) = 0;
  /// Whether encoding at a batch-normed origin couples images so that only the training set's mean
  /// image makes them independent (C11); false: images are independent under kRunning throughout.
  [[nodiscard]] virtual bool encodes_at_origin() const { return true; }
  /// Whether an encoding under batch norm needs a batch, since each image's pass through the origin
  /// is its own.
  [[nodiscard]] virtual bool needs_a_batch_at_origin() const { return false; }
  /// What measure()'s "loss" is, for people: "squared error per image".
  [[nodiscard]] virtual std::string loss_in_words() const = 0;

  /// Collective. Called once a step behind the reduction of the gradients, for what a family
  /// optimises beside the parameters. @param skip 0-dim: 1 where the update is skipped.
  virtual void update(const torch::Tensor& /*skip*/) {}
  /// Collective. What update() changes, whole, on rank 0: kept in checkpoints by name.
  [[nodiscard]] virtual std::map<std::string, torch::Tensor> gather_state() { return {}; }
  /// Gives what was kept under a name, on the host. @throws CheckpointError where it has another
  /// shape
  using ReadState = std::function<torch::Tensor(const std::string& name, at::IntArrayRef shape)>;
  /// Puts it back, on each rank.
  virtual void restore_state(const ReadState& /*read*/) {}
};

}  // namespace gondola
