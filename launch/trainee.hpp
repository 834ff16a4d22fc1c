#pragma once

#include <torch/types.h>

#include <cstdint>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"
#include "launch/run_folder.hpp"
#include "trainer/checkpoint/training_state.hpp"
#include "trainer/image_shape.hpp"
#include "trainer/model.hpp"
#include "trainer/optimizer/flat_adam.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// The model, its optimiser and how far it is, owned.
struct Trainee {
  Model model;
  FlatAdam optimizer;
  torch::Tensor average;  ///< Of the weights; undefined without trainer.ema_decay.
  torch::Tensor mean_image;
  RunProgress progress;

  /// @param communicator for tensors on `device`; outlives the trainee.
  Trainee(const RunConfig& config, const ImageSource& train, const ImageShape& shape,
          torch::Device device, Communicator& communicator);

  [[nodiscard]] torch::Tensor& flat() const { return model.parameters().flat(); }
  [[nodiscard]] TrainingState state();
};

/// Collective. Starts from the weights that checkpoint.init names, those of another run, which may
/// go on training meanwhile. A run that goes on from a checkpoint of its own has them already.
/// @param control a communicator for CPU tensors.
/// @throws MissingInputError, CheckpointError; WorldError where ranks read different weights (C6)
void read_initial_weights(const RunConfig& config, Trainee& trainee, Communicator& control);

/// Collective. Goes on from the checkpoint that the folder was opened with, if any; rank 0 sets
/// aside the checkpoints after it, marks the best one again and forgets the images passed over
/// since. @throws as above
void resume_in(const RunFolder& folder, std::int64_t batch_size, Trainee& trainee,
               Communicator& control);

}  // namespace gondola
