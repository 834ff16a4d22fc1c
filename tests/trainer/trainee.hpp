#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "data/batch_loader.hpp"
#include "data/image_source.hpp"
#include "trainer/model.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#include "trainer/train_step.hpp"

namespace gondola {

/// A model in training over the ranks of `world`, its batches given by the test.
struct TestTrainee {
  TestTrainee(const RunConfig& run_config, const ImageShape& image_shape, MPI_Comm world,
              std::int64_t training_images = 0)
      : config(run_config),
        shape(image_shape),
        communicator(world, progress),
        model(make_model(
            config,
            {.shape = shape, .communicator = &communicator, .training_images = training_images})),
        optimizer(config.optimizer, weights().numel(), weights().options()) {
    if (config.trainer.ema_decay > 0) average = weights().clone();
  }

  [[nodiscard]] torch::Tensor& weights() { return model.parameters().flat(); }
  [[nodiscard]] Decoder& decoder() const { return *model.decoder; }
  [[nodiscard]] Parameters& parameters() const { return model.parameters(); }

  /// Collective. One step on this rank's slice of a global batch [B, C, H, W] u8 whose images have
  /// the ids 0..B-1; the sums are those of all ranks.
  StepResult step(const torch::Tensor& batch, std::int64_t number, double learning_rate = 1e-3) {
    const auto slice = slice_of(batch.size(0), communicator.rank(), communicator.size());
    std::vector<std::int64_t> ids(static_cast<std::size_t>(slice.size()));
    std::iota(ids.begin(), ids.end(), slice.begin);
    PhaseTimer timer(progress);
    TrainStep train_step(config,
                         {.decoder = *model.decoder,
                          .objective = *model.objective,
                          .optimizer = optimizer,
                          .average = average},
                         communicator, timer);
    train_step.bound().restore(usual_norm);
    auto result =
        train_step.run({.view = {.pixels = batch.narrow(0, slice.begin, slice.size())}, .ids = ids},
                       number, learning_rate);
    usual_norm = train_step.bound().usual();
    communicator.all_reduce_sum(result.sums);
    return result;
  }

  const RunConfig config;
  const ImageShape shape;
  CollectiveProgress progress;
  MpiCommunicator communicator;
  Model model;
  FlatAdam optimizer;
  torch::Tensor average;
  UsualNorm usual_norm;
};

/// The mean image of a source, [1, C, H, W] of `dtype`.
inline torch::Tensor mean_image_of(const ImageSource& source, torch::ScalarType dtype) {
  const auto mean = source.mean_image();
  return torch::tensor(at::ArrayRef<double>(mean.data(), mean.size()), torch::kFloat64)
      .view({1, source.channels(), source.height(), source.width()})
      .to(dtype);
}

}  // namespace gondola
