#pragma once

#include <torch/types.h>

#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "data/batch_loader.hpp"
#include "tests/trainer/small_model.hpp"
#include "trainer/coordinates/coordinate_draws.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/parallel/communicator.hpp"
#include "trainer/train_step.hpp"

namespace gondola {

inline constexpr std::int64_t kOverlapBatch = 10;  // not divisible by 3 or 4
inline constexpr std::int64_t kOverlapClasses = 3;

/// A configuration whose model is large enough for its sums.
inline RunConfig overlap_config(DecoderKind kind) {
  auto config = small_config(kind);
  config.model.hidden = 32;
  config.model.filters = 10;
  config.latent.size = 2;
  config.latent.step_size = 0;  // auto
  config.model.classes = kOverlapClasses;
  config.trainer.batch_size = kOverlapBatch;
  return config;
}

inline ImageShape overlap_shape(DecoderKind kind) {
  const std::int64_t side = kind == DecoderKind::kConv ? 16 : 6;
  return {.channels = 2, .height = side, .width = side};
}

/// A model in training by steps of one object.
struct OverlapTrainee {
  OverlapTrainee(const RunConfig& run_config, Communicator& ranks)
      : OverlapTrainee(run_config, ranks, overlap_shape(run_config.model.decoder)) {}
  OverlapTrainee(const RunConfig& run_config, Communicator& ranks, const ImageShape& images)
      : config(run_config),
        communicator(ranks),
        shape(images),
        draws(config.coordinates, shape.height, shape.width, config.run.seed, nullptr),
        model(make_model(
            config, {.shape = shape, .communicator = &ranks, .training_images = kOverlapBatch})),
        optimizer(config.optimizer, weights().numel(), weights().options()),
        timer(progress),
        step(config,
             {.decoder = *model.decoder,
              .objective = *model.objective,
              .optimizer = optimizer,
              .average = no_average},
             ranks, timer) {}

  [[nodiscard]] torch::Tensor& weights() { return model.parameters().flat(); }

  /// Collective. The images of batch `number`, the last of which is not finite where `broken`.
  StepResult run(std::int64_t number, bool broken = false) {
    const auto batch = config.trainer.batch_size;
    const auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(number));
    auto pixels = torch::randint(0, 256, {batch, shape.channels, shape.height, shape.width},
                                 generator, torch::kFloat64) /
                  255;
    if (broken) pixels[batch - 1].fill_(std::numeric_limits<double>::infinity());
    const auto slice = slice_of(batch, communicator.rank(), communicator.size());
    std::vector<std::int64_t> ids(static_cast<std::size_t>(slice.size()));
    std::iota(ids.begin(), ids.end(), slice.begin);
    std::vector<std::int64_t> global_ids(static_cast<std::size_t>(batch));
    std::iota(global_ids.begin(), global_ids.end(), 0);
    const auto own = pixels.narrow(0, slice.begin, slice.size());
    return step.run(
        {.view = {.pixels = own,
                  .target_pixels =
                      config.model.family == Family::kTranslation ? own.flip(3) : torch::Tensor(),
                  .coordinates = draws.at({.batch = number}, torch::kFloat64)},
         .ids = ids,
         .labels = torch::tensor(ids, torch::kInt64).remainder(kOverlapClasses),
         .global_ids = global_ids,
         .first = slice.begin},
        number, /*learning_rate=*/1e-3);
  }

  const RunConfig config;
  Communicator& communicator;
  CollectiveProgress progress;
  ImageShape shape;
  CoordinateDraws draws;
  Model model;
  FlatAdam optimizer;
  torch::Tensor no_average;
  PhaseTimer timer;
  TrainStep step;
};

}  // namespace gondola
