#include "launch/trainee.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include "launch/rank_zero.hpp"
#include "launch/start_up_check.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/parallel/replica_check.hpp"
#include "trainer/passed_over.hpp"

namespace gondola {
namespace {

/// Collective. What ranks have read as the state to start from must be the same (C6): each read a
/// file of the same name.
void compare_start(Trainee& trainee, Communicator& control) {
  const auto& progress = trainee.progress;
  std::vector<torch::Tensor> state = {trainee.flat(), trainee.optimizer.first_moment(),
                                      trainee.optimizer.second_moment(),
                                      torch::tensor({progress.step, progress.cursor.epoch,
                                                     progress.cursor.batch, progress.best_step})};
  if (trainee.average.defined()) state.push_back(trainee.average);
  for (const auto& average : trainee.model.parameters().running_averages()) {
    state.push_back(average.mean);
    state.push_back(average.variance);
  }
  const NamedHash start = {.name = "checkpoint", .hash = hash_of(state)};
  compare_over_ranks(control, {&start, 1});
}

}  // namespace

Trainee::Trainee(const RunConfig& config, const ImageSource& train, const ImageShape& shape,
                 torch::Device device, Communicator& communicator)
    : model(make_model(config, {.shape = shape,
                                .device = device,
                                .communicator = &communicator,
                                .training_images = train.images()})),
      optimizer(config.optimizer, flat().numel(), flat().options()) {
  if (config.trainer.ema_decay > 0) average = flat().clone();
  const auto mean = train.mean_image();
  mean_image = torch::tensor(at::ArrayRef<double>(mean.data(), mean.size()), torch::kFloat64)
                   .view({1, shape.channels, shape.height, shape.width})
                   .to(flat().options());
}

TrainingState Trainee::state() {
  return {.decoder = *model.decoder,
          .objective = *model.objective,
          .optimizer = optimizer,
          .average = average,
          .mean_image = mean_image,
          .progress = progress};
}

void read_initial_weights(const RunConfig& config, Trainee& trainee, Communicator& control) {
  if (config.checkpoint.init.empty()) return;
  // Ranks may see different files: rank 0 says whether the run goes on.
  const auto checkpoint = decide_on_rank_zero(control, [&] {
    const auto own = std::filesystem::path(config.run.folder) / "checkpoints";
    const bool goes_on =
        config.run.resume == "auto" ? !list_checkpoints(own).empty() : !config.run.resume.empty();
    return goes_on ? "" : checkpoint_named(config.checkpoint.init).string();
  });
  if (checkpoint.empty()) return;
  read_model(checkpoint_named(checkpoint), *trainee.model.decoder,
             /*mean_image=*/nullptr, Weights::kLatest);
  if (trainee.average.defined()) trainee.average.copy_(trainee.flat());
  compare_start(trainee, control);
}

void resume_in(const RunFolder& folder, std::int64_t batch_size, Trainee& trainee,
               Communicator& control) {
  if (!folder.resume_from) return;
  auto state = trainee.state();
  read_checkpoint(*folder.resume_from, state);
  compare_start(trainee, control);
  if (control.rank() != 0) return;
  set_later_aside(folder.checkpoints(), trainee.progress.step);
  mark_best_again(folder.checkpoints(), trainee.progress.best_step);
  keep_passed_over_before(passed_over_file(folder.path), trainee.progress.cursor, batch_size);
}

}  // namespace gondola
