#include "trainer/training_loop.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "configs/errors.hpp"
#include "trainer/evaluation/average_in_use.hpp"
#include "trainer/evaluation/sample_pictures.hpp"
#include "trainer/model.hpp"
#include "trainer/optimizer/learning_rate.hpp"
#include "trainer/parallel/agreement.hpp"
#include "trainer/parallel/replica_check.hpp"

namespace gondola {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Epoch of the batch before this one.
std::int64_t epoch_before(Cursor next) { return next.batch == 0 ? next.epoch - 1 : next.epoch; }

/// [W, phases] float64: this rank's seconds in its row, zeros in the others', so that the sum over
/// ranks is a table of all of them.
torch::Tensor phases_by_rank(const PhaseSeconds& own, const Communicator& control) {
  const auto phases = static_cast<std::int64_t>(own.size());
  auto table = torch::zeros({control.size(), phases}, torch::kFloat64);
  table[control.rank()].copy_(
      torch::from_blob(const_cast<double*>(own.data()), {phases}, torch::kFloat64));
  return table;
}

}  // namespace

std::int64_t total_steps(const TrainerSection& config, std::int64_t batches_per_epoch) {
  return config.steps > 0 ? config.steps : config.epochs * batches_per_epoch;
}

TrainingLoop::TrainingLoop(TrainingRun run)
    : run_(std::move(run)),
      timer_(run_.progress),
      feed_(run_),
      train_step_(run_.config,
                  {.decoder = run_.state.decoder,
                   .objective = run_.state.objective,
                   .optimizer = run_.state.optimizer,
                   .average = run_.state.average},
                  run_.communicator, timer_,
                  run_.config.trainer.cuda_graph
                      ? device_graphs(run_.state.decoder.parameters().flat().device())
                      : MakeDeviceGraph()),
      guard_(run_, feed_, train_step_),
      reconstructor_(run_.config, run_.state.decoder, run_.state.objective, run_.state.mean_image),
      saver_(run_),
      total_steps_(total_steps(run_.config.trainer, feed_.batches_per_epoch())),
      last_logged_step_(run_.state.progress.step) {
  feed_.seek(run_.state.progress.cursor);
}

TrainingLoop::~TrainingLoop() = default;

Ending TrainingLoop::run() {
  while (run_.state.progress.step < total_steps_) {
    const auto number = run_.state.progress.step + 1;
    run_.progress.step.store(number);
    const auto start = std::chrono::steady_clock::now();
    const auto result = step(number);
    timer_.enter(Phase::kWait);
    const auto [stop, checkpoint] =
        agree(run_.control, {.stop = run_.stop_requested(), .checkpoint = saver_.news()});
    saver_.heed(checkpoint);
    const bool last = number == total_steps_;
    const bool logged = last || stop || due(number, run_.config.monitoring.log_every);
    const auto bad = guard_.bad_steps(logged || may_save(number));
    timer_.stop();
    seconds_since_logged_ += seconds_since(start);

    auto seen = report(result, number, last_images_, logged);
    seen.skipped = static_cast<std::int64_t>(bad.size());
    for (auto* observer : run_.observers) observer->on_step(seen);
    if (const auto* const offending = settle(bad)) {
      roll_back(*offending);
      continue;
    }
    after_step(number, last, stop);
    if (stop && !last) return Ending::kStopped;
  }
  return Ending::kFinished;
}

bool TrainingLoop::may_save(std::int64_t number) const {
  return due(number, run_.config.checkpoint.every_steps) ||
         due(number, run_.config.evaluation.every_steps);
}

/// Where the run ends here, which all ranks know, what is being written is completed first.
const BadStep* TrainingLoop::settle(const std::vector<BadStep>& bad) {
  try {
    return guard_.settle(bad);
  } catch (const DivergedError&) {
    complete_last_checkpoint();
    throw;
  } catch (const CommError&) {
    complete_last_checkpoint();
    throw;
  }
}

/// Of a run that ends for another reason, which a failure to write does not replace. All ranks hear
/// of that failure.
void TrainingLoop::complete_last_checkpoint() {
  try {
    saver_.finish();
  } catch (const IoError& error) {
    if (run_.control.rank() == 0) run_.warn(error.what());
  }
}

/// Of the ranks that share images, one counts them.
bool TrainingLoop::counts_images() const {
  return run_.coordinate_group == nullptr || run_.coordinate_group->rank() == 0;
}

StepResult TrainingLoop::step(std::int64_t number) {
  timer_.enter(Phase::kData);
  const auto cursor = feed_.cursor();
  const auto input = feed_.next(number);
  if (run_.ledger != nullptr) run_.ledger->append(number, cursor, feed_.global_ids(cursor));
  auto result =
      train_step_.run(input, number, learning_rate_at(run_.config.optimizer, number, total_steps_));
  guard_.add(number, cursor, result);
  if (result.spread.defined()) spread_ = result.spread;
  if (!result.warning.empty() && run_.control.rank() == 0) {
    run_.warn("step " + std::to_string(number) + ": " + result.warning);
  }
  last_images_ = counts_images() ? static_cast<std::int64_t>(input.ids.size()) : 0;
  run_.state.progress.step = number;
  run_.state.progress.cursor = feed_.cursor();
  return result;
}

StepReport TrainingLoop::report(const StepResult& result, std::int64_t number, std::int64_t images,
                                bool logged) {
  StepReport report;
  report.step = number;
  report.epoch = epoch_before(feed_.cursor());
  report.logged = logged;
  report.images = images;
  report.bytes_reduced = result.bytes_reduced;
  if (!logged) return report;

  const auto start = std::chrono::steady_clock::now();
  const auto steps = static_cast<double>(number - last_logged_step_);
  report.phase_seconds = timer_.take();
  for (auto& seconds : report.phase_seconds) seconds /= steps;

  // Losses are sums over this rank's coordinates too; latents are the same on all that share them.
  std::vector<torch::Tensor> own = {result.sums.clone()};
  if (!counts_images()) own[0][2].zero_();
  for (const auto& [name, sum] : result.parts) own.push_back(sum.view({1}));
  const auto by_rank = phases_by_rank(report.phase_seconds, run_.control);
  auto sums = torch::cat({torch::cat(own).to(torch::kCPU), by_rank.view({-1})});
  timer_.enter(Phase::kWait);
  run_.control.all_reduce_sum(sums);
  timer_.stop();
  const auto batch = static_cast<double>(run_.config.trainer.batch_size);
  report.loss = sums[0].item<double>() / batch;
  report.inner_loss = sums[1].item<double>() / batch;
  report.latent_norm = std::sqrt(sums[2].item<double>() / batch);
  std::int64_t part = 3;
  for (const auto& [name, sum] : result.parts) {
    report.parts[name] = sums[part++].item<double>() / batch;
  }
  if (spread_.defined()) report.parts["coordinate_spread"] = spread_.item<double>();
  spread_.reset();
  report.gradient_norm = result.gradient_norm.item<double>();
  report.learning_rate = learning_rate_at(run_.config.optimizer, number, total_steps_);

  report.rank_phase_seconds.resize(static_cast<std::size_t>(run_.control.size()));
  std::memcpy(report.rank_phase_seconds.data(), sums.const_data_ptr<double>() + part,
              static_cast<std::size_t>(by_rank.nbytes()));
  report.step_seconds = seconds_since_logged_ / steps;
  report.images_per_second = batch / report.step_seconds;
  last_logged_step_ = number;
  seconds_since_logged_ = seconds_since(start);
  return report;
}

void TrainingLoop::roll_back(const BadStep& bad) {
  timer_.enter(Phase::kCheckpoint);
  saver_.finish();
  run_.progress.allow_extra_seconds(kRankZeroSeconds);
  const auto report = guard_.go_back(bad);
  run_.progress.allow_extra_seconds(0);
  for (auto* observer : run_.observers) observer->on_rollback(report);
  last_logged_step_ = report.step;
  seconds_since_logged_ = 0;
  timer_.stop();
  static_cast<void>(timer_.take());  // what is logged next begins here
}

void TrainingLoop::after_step(std::int64_t number, bool last, bool stop) {
  const auto& config = run_.config;
  const bool ends = last || stop;
  // Checkpoints follow; on a GPU this waits for the step.
  if (ends || may_save(number)) {
    run_.state.progress.usual_norm = train_step_.bound().usual();
  }
  if (last || due(number, config.parallel.check_every)) check_replicas_agree(number);
  if (last || due(number, config.evaluation.every_steps)) evaluate_and_keep_best(number);
  if (last || due(number, config.monitoring.samples_every)) make_samples(number);
  if (ends || due(number, config.checkpoint.every_steps) ||
      run_.state.progress.best_step == number) {
    save_checkpoint(ends ? CheckpointSaver::When::kAtOnce : CheckpointSaver::When::kBehind);
  }
  if (ends) {
    for (auto* observer : run_.observers) observer->flush();
  }
}

EvaluationImages TrainingLoop::held_out() const {
  if (run_.held_out == nullptr) return {.source = run_.train, .targets = run_.targets};
  return {.source = *run_.held_out, .targets = run_.held_out_targets};
}

/// What only rank 0 does while the others wait in the barrier: announced, so that their watchdogs
/// allow for it.
void TrainingLoop::on_rank_zero(const std::function<void()>& work) {
  run_.progress.allow_extra_seconds(kRankZeroSeconds);
  if (run_.control.rank() == 0) work();
  run_.control.barrier();
  run_.progress.allow_extra_seconds(0);
}

/// Batch norm `local` leaves each rank with its own running averages: their mean is what is
/// evaluated and saved.
void TrainingLoop::share_running_averages() {
  if (run_.config.model.batch_norm != BatchNormMode::kLocal || run_.control.size() == 1) return;
  const at::NoGradGuard no_grad;
  for (auto& average : run_.state.decoder.parameters().running_averages()) {
    for (auto* tensor : {&average.mean, &average.variance}) {
      run_.communicator.all_reduce_sum(*tensor);
      tensor->div_(run_.control.size());
    }
  }
}

void TrainingLoop::evaluate_and_keep_best(std::int64_t number) {
  timer_.enter(Phase::kEval);
  share_running_averages();
  EvalReport report;
  {
    const AverageInUse average(run_.state);
    report = evaluate(run_.config, reconstructor_, held_out(),
                      run_.state.decoder.parameters().flat().options(),
                      run_.config.evaluation.images, run_.control, run_.progress);
  }
  report.step = number;
  report.epoch = epoch_before(feed_.cursor());
  report.split = run_.held_out != nullptr ? "test" : "train";
  for (auto* observer : run_.observers) observer->on_eval(report);
  timer_.enter(Phase::kCheckpoint);
  saver_.note_loss(report.metrics.at("loss"));
  timer_.stop();
}

void TrainingLoop::make_samples(std::int64_t number) {
  timer_.enter(Phase::kEval);
  share_running_averages();
  on_rank_zero([&] {
    const AverageInUse average(run_.state);
    auto report = sample_pictures(reconstructor_, held_out(), run_.config.evaluation.group_images,
                                  run_.state.decoder.parameters().flat().options());
    report.step = number;
    for (auto* observer : run_.observers) observer->on_samples(report);
  });
  timer_.stop();
}

void TrainingLoop::save_checkpoint(CheckpointSaver::When when) {
  timer_.enter(Phase::kCheckpoint);
  share_running_averages();
  if (weights_are_worth_saving(when)) saver_.save(when);
  timer_.stop();
}

/// Collective. A checkpoint of weights that are not finite would only keep a run from the good ones
/// before it. False: the next step is bad, and what becomes of the run is decided there.
bool TrainingLoop::weights_are_worth_saving(CheckpointSaver::When when) {
  const auto& flat = run_.state.decoder.parameters().flat();
  auto broken = at::isfinite(flat.detach()).all().logical_not().to(torch::kCPU, torch::kInt64);
  run_.control.all_reduce_sum(broken);
  const auto ranks = broken.item<std::int64_t>();
  if (ranks == 0) return true;
  if (when == CheckpointSaver::When::kBehind) return false;
  complete_last_checkpoint();
  const auto step = "at step " + std::to_string(run_.state.progress.step) + " the weights ";
  if (ranks < run_.control.size()) {
    throw CommError(step + "of " + std::to_string(ranks) +
                    " ranks are not finite, those of the others are: restart from the last "
                    "checkpoint, and suspect the memory or processor there");
  }
  throw DivergedError(step +
                      "are not finite, and are not saved: resume from an earlier checkpoint with a "
                      "lower optimizer.learning_rate, or set optimizer.clip_norm");
}

void TrainingLoop::check_replicas_agree(std::int64_t number) {
  if (run_.control.size() == 1) return;
  timer_.enter(Phase::kCheckpoint);
  saver_.finish();  // where replicas differ the run ends, and goes on from there
  timer_.enter(Phase::kWait);
  std::vector<torch::Tensor> state = {run_.state.decoder.parameters().flat(),
                                      run_.state.optimizer.first_moment(),
                                      run_.state.optimizer.second_moment()};
  if (run_.state.average.defined()) state.push_back(run_.state.average);
  if (run_.config.model.batch_norm == BatchNormMode::kSync) {
    for (auto& average : run_.state.decoder.parameters().running_averages()) {
      state.push_back(average.mean);
      state.push_back(average.variance);
    }
  }
  const auto verdict = check_replicas(run_.communicator, state, number);
  if (verdict.mended()) {
    if (run_.control.rank() == 0)
      run_.warn("step " + std::to_string(number) + ": " + verdict.warning());
    for (auto* observer : run_.observers) {
      observer->on_mend({.step = number, .ranks = verdict.different_ranks, .drift = verdict.drift});
    }
  }
  timer_.stop();
}

}  // namespace gondola
