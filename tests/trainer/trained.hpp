#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/trainer/small_model.hpp"
#include "trainer/checkpoint/training_state.hpp"
#include "trainer/model.hpp"

namespace gondola {

/// Everything that a checkpoint keeps, with values drawn from a seed.
struct Trained {
  /// @param images of the training set: only `glo` keeps something of each.
  Trained(const RunConfig& config, std::uint64_t seed, std::int64_t images = 0)
      : model(make_model(config, {.shape = {.channels = 1, .height = 16, .width = 16},
                                  .training_images = images})),
        decoder(model.decoder.get()),
        optimizer(config.optimizer, model.parameters().flat().numel(),
                  model.parameters().flat().options()) {
    const at::NoGradGuard no_grad;
    auto generator = at::detail::createCPUGenerator(seed);
    const auto draw = [&](torch::Tensor tensor) { tensor.normal_(0, 1, generator); };
    auto& flat = decoder->parameters().flat();
    if (config.trainer.ema_decay > 0) average = torch::empty_like(flat);
    mean_image = torch::empty({1, 1, 16, 16}, flat.options());
    for (const auto& tensor : all_tensors()) draw(tensor);
    optimizer.updates().fill_(static_cast<double>(seed));
    const auto number = static_cast<std::int64_t>(seed);
    progress = {.step = number,
                .cursor = {.epoch = number + 1, .batch = number + 2},
                .best_loss = 0.1 * static_cast<double>(number),
                .best_step = number - 1,
                .usual_norm = {.mean = 0.3 * static_cast<double>(number), .steps = number + 3}};
  }

  TrainingState state() {
    return {.decoder = *decoder,
            .objective = *model.objective,
            .optimizer = optimizer,
            .average = average,
            .mean_image = mean_image,
            .progress = progress};
  }

  std::vector<torch::Tensor> all_tensors() {
    std::vector<torch::Tensor> all = {decoder->parameters().flat(), optimizer.first_moment(),
                                      optimizer.second_moment(), mean_image};
    if (average.defined()) all.push_back(average);
    for (const auto& running : decoder->parameters().running_averages()) {
      all.push_back(running.mean);
      all.push_back(running.variance);
    }
    return all;
  }

  Model model;
  Decoder* decoder;
  FlatAdam optimizer;
  torch::Tensor average;
  torch::Tensor mean_image;
  RunProgress progress;
};

/// Bit by bit, and as far in the run.
inline void expect_same_bits(Trained& actual, Trained& expected) {
  const auto ours = actual.all_tensors();
  const auto theirs = expected.all_tensors();
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i].nbytes(), theirs[i].nbytes());
    EXPECT_EQ(std::memcmp(ours[i].data_ptr(), theirs[i].data_ptr(), ours[i].nbytes()), 0) << i;
  }
  EXPECT_TRUE(actual.optimizer.updates().equal(expected.optimizer.updates()));
  EXPECT_EQ(actual.progress.step, expected.progress.step);
  EXPECT_EQ(actual.progress.cursor, expected.progress.cursor);
  EXPECT_EQ(actual.progress.best_loss, expected.progress.best_loss);
  EXPECT_EQ(actual.progress.best_step, expected.progress.best_step);
  EXPECT_EQ(actual.progress.usual_norm.mean, expected.progress.usual_norm.mean);
  EXPECT_EQ(actual.progress.usual_norm.steps, expected.progress.usual_norm.steps);
}

inline RunConfig config_of(DecoderKind kind, Precision precision = Precision::kFloat32) {
  auto config = small_config(kind, precision);
  config.trainer.ema_decay = 0.9;
  return config;
}

}  // namespace gondola
