#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_table.hpp"
#include "configs/option_text.hpp"
#include "configs/validate_config.hpp"
#include "data/batch_loader.hpp"
#include "data/foreign_scan.hpp"
#include "data/image_source.hpp"
#include "data/ledger.hpp"
#include "data/synthetic_source.hpp"
#include "launch/collective_files.hpp"
#include "launch/command_line.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/finish_output.hpp"
#include "launch/host_name.hpp"
#include "launch/matmul_choice.hpp"
#include "launch/mpi_session.hpp"
#include "launch/node_cache.hpp"
#include "launch/node_stage.hpp"
#include "launch/rank_zero.hpp"
#include "launch/run_folder.hpp"
#include "launch/run_plan.hpp"
#include "launch/start_up_check.hpp"
#include "launch/stop_signal.hpp"
#include "launch/watchdog.hpp"
#include "launch/watchers.hpp"
#include "monitoring/report.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/model.hpp"
#include "trainer/parallel/make_communicator.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#include "trainer/parallel/replica_check.hpp"
#include "trainer/passed_over.hpp"
#include "trainer/training_loop.hpp"

namespace gondola {
namespace {

/// The images of a run.
struct Sources {
  std::unique_ptr<ImageSource> train;
  std::unique_ptr<ImageSource> held_out;          ///< Null where the dataset has no test split.
  std::unique_ptr<ImageSource> targets;           ///< Other modality of `train`; translation only.
  std::unique_ptr<ImageSource> held_out_targets;  ///< The same of `held_out`.
  [[nodiscard]] ImageShape shape() const { return shape_of(*train); }
};

/// @throws DataError unless image i is there for each image i of `images`, of the same shape
std::unique_ptr<ImageSource> open_targets(const std::string& path, const ImageSource& images,
                                          Split split) {
  auto targets = open_source(path, split, CacheKind::kNone);
  if (targets->images() != images.images() || shape_of(*targets) != shape_of(images)) {
    throw DataError(targets->name() + " holds " + std::to_string(targets->images()) + " images " +
                    text_of(shape_of(*targets)) + ", " + images.name() + " " +
                    std::to_string(images.images()) + " images " + text_of(shape_of(images)) +
                    "; the modalities of translation need as many images of one shape");
  }
  return targets;
}

/// What it may take a rank to open the images: files of other programs are read in full, and one
/// machine may have them in memory where another has a slow disk. None for those of `import`.
double seconds_to_open(const DataSection& data) {
  constexpr double kSlowestBytesPerSecond = 20e6;
  double bytes = 0;
  for (const auto& list : {data.path, data.targets}) {
    if (list.empty() || is_synthetic(list)) continue;
    bytes += static_cast<double>(bytes_read_when_opened(list));
  }
  return bytes / kSlowestBytesPerSecond;
}

Sources open_sources(const DataSection& data) {
  Sources sources;
  sources.train = open_source(data.path, Split::kTrain, CacheKind::kNone);
  if (has_split(data.path, Split::kTest)) {
    sources.held_out = open_source(data.path, Split::kTest, CacheKind::kNone);
    if (shape_of(*sources.held_out) != sources.shape()) {
      throw DataError("the test images of " + data.path + " are " +
                      text_of(shape_of(*sources.held_out)) + ", its training images " +
                      text_of(sources.shape()) + "; import both at one size");
    }
  }
  if (!data.targets.empty()) {
    sources.targets = open_targets(data.targets, *sources.train, Split::kTrain);
    if (sources.held_out) {
      sources.held_out_targets = open_targets(data.targets, *sources.held_out, Split::kTest);
    }
  }
  return sources;
}

/// Collective in its decision only: every rank has the same labels. What the config leaves to the
/// data.
void resolve(RunConfig& config, const Sources& sources) {
  config.latent.step_size = resolved_step_size(config, sources.shape());
  if (!learns_classes(config.model.family)) return;
  const auto labels =
      read_labels(*sources.train, 0, sources.train->images(),
                  config.model.classes > 0 ? config.model.classes : std::int64_t{1000000});
  if (config.model.classes == 0) config.model.classes = labels.max().item<std::int64_t>() + 1;
  if (sources.held_out) {  // refused now, not at the first evaluation
    (void)read_labels(*sources.held_out, 0, sources.held_out->images(), config.model.classes);
  }
}

/// The model, its optimiser and how far it is, owned.
struct Trainee {
  Model model;
  FlatAdam optimizer;
  torch::Tensor average;
  torch::Tensor mean_image;
  RunProgress progress;

  Trainee(const RunConfig& config, const ImageSource& train, const ImageShape& shape,
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

  [[nodiscard]] torch::Tensor& flat() const { return model.parameters().flat(); }
  [[nodiscard]] TrainingState state() {
    return {.decoder = *model.decoder,
            .objective = *model.objective,
            .optimizer = optimizer,
            .average = average,
            .mean_image = mean_image,
            .progress = progress};
  }
};

/// Collective. What the ranks were asked to do must be the same (C6); compared before anything that
/// some of them would skip.
void compare_orders(const LoadedConfig& loaded, Communicator& control) {
  auto common = loaded.config;
  common.monitoring.port = 0;  // may be set per machine
  const auto order = to_ini(common) + (loaded.help ? "help" : "") +
                     (loaded.print_config ? "print" : "") + (loaded.dry_run ? "dry" : "");
  const std::vector<NamedHash> things = {{.name = "program", .hash = hash_of_this_program()},
                                         {.name = "config", .hash = hash_of_text(order)}};
  compare_over_ranks(control, things);
}

/// Of all that a checkpoint's run learns from: the images' own where they have no targets.
std::uint64_t fingerprint_of(const Sources& sources) {
  const auto images = sources.train->fingerprint();
  if (!sources.targets) return images;
  return hash_of_text(std::to_string(images) + " " +
                      std::to_string(sources.targets->fingerprint()));
}

/// Collective. The images must be the same on every rank (C6).
void compare_images(const Sources& sources, Communicator& control) {
  const std::vector<NamedHash> things = {
      {.name = "dataset", .hash = sources.train->fingerprint()},
      {.name = "test split", .hash = sources.held_out ? sources.held_out->fingerprint() : 0},
      {.name = "targets", .hash = sources.targets ? sources.targets->fingerprint() : 0},
      {.name = "test targets",
       .hash = sources.held_out_targets ? sources.held_out_targets->fingerprint() : 0}};
  compare_over_ranks(control, things);
}

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

/// Collective. Starts from the weights of another run, which may go on training meanwhile. A run
/// that goes on from a checkpoint of its own has them already.
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

/// Where the results are, for the person who started the run.
void print_ending(const RunFolder& folder, const RunProgress& progress, Ending ending,
                  const std::string& loss_in_words) {
  const auto path = folder.path.string();
  if (ending == Ending::kStopped) {
    std::printf(
        "stopped on request after step %lld; continue with: --run.folder %s --resume auto\n",
        static_cast<long long>(progress.step), path.c_str());
    return;
  }
  std::printf("held-out loss %.4f (%s), best of the run, at step %lld\n", progress.best_loss,
              loss_in_words.c_str(), static_cast<long long>(progress.best_step));
  std::printf("pictures     %s/samples\n", path.c_str());
  std::printf("metrics      %s/metrics.csv, %s/metrics.jsonl\n", path.c_str(), path.c_str());
  std::printf("checkpoints  %s/checkpoints\n", path.c_str());
  std::printf("report       %s/report.html\n", path.c_str());
}

}  // namespace

int run_train(std::span<const std::string> args, MpiSession& mpi) {
  install_stop_signals();
  auto loaded = load_config(args, current_environment(), Check::kWholeRun);
  CollectiveProgress progress;
  Watchdog watchdog(progress, {.rank = mpi.rank(),
                               .size = mpi.size(),
                               .timeout_seconds = loaded.config.parallel.timeout_seconds});
  MpiCommunicator control(mpi.world(), progress);
  compare_orders(loaded, control);
  if (loaded.help || loaded.print_config) {
    if (mpi.rank() == 0) {
      std::fputs(loaded.help ? command_help("train", options_help()).c_str()
                             : annotated_ini(loaded.config, loaded.origins).c_str(),
                 stdout);
      finish_output();
    }
    return static_cast<int>(ExitCode::kDone);
  }
  auto& config = loaded.config;
  check_world(config, mpi.size());

  const auto binding = bind_device(config.parallel, mpi);
  check_graph(config, binding.device, mpi.size());
  apply_precision(config);
  const auto communicator =
      make_communicator(binding.device, mpi.world(), progress, config.parallel.timeout_seconds);
  const auto coordinate_group =
      make_group_communicator(binding.device, mpi.world(), config.parallel.coordinate_ranks,
                              progress, config.parallel.timeout_seconds);

  auto data = config.data;
  for (auto* const list : {&data.path, &data.targets}) {
    *list = stage_on_node(*list, data.stage, mpi, control, progress);
  }
  progress.allow_extra_seconds(seconds_to_open(data));
  auto sources = open_sources(data);
  const auto shape = sources.shape();
  check_image_size(config, shape.channels, shape.height, shape.width);
  require_a_batch(*sources.train, config.trainer.batch_size);
  compare_images(sources, control);
  progress.allow_extra_seconds(0);
  resolve(config, sources);
  const auto cache =
      choose_cache(config.data.cache, *sources.train, sources.targets.get(), control);
  config.data.cache = cache.kind;

  Trainee trainee(config, *sources.train, shape, binding.device, *communicator);
  const auto bucket = choose_bucket(config.parallel.bucket_bytes, trainee.flat(), *communicator);
  if (!binding.peers.empty()) {
    std::printf("gpus         %s\n", binding.peers.c_str());
    std::fflush(stdout);
  }
  if (mpi.rank() == 0) {
    for (const auto& line : plan_lines(config, *sources.train, sources.held_out.get(),
                                       trainee.flat(), binding.description, mpi.size())) {
      std::printf("%s\n", line.c_str());
    }
    std::printf("cache        %s (%s)\n", value_of(config, "data.cache").c_str(),
                cache.reason.c_str());
    const auto gradient_bytes = static_cast<std::int64_t>(trainee.flat().nbytes());
    for (const auto& line : reduction_lines(bucket, gradient_bytes, mpi.size())) {
      std::printf("%s\n", line.c_str());
    }
  }
  if (loaded.dry_run) {
    if (mpi.rank() == 0) {
      std::printf("dry run: nothing was trained or written\n");
      finish_output();
    }
    return static_cast<int>(ExitCode::kDone);
  }
  if (cache.kind == CacheKind::kHost) {
    for (auto* const images : {&sources.train, &sources.targets}) {
      if (*images) *images = cache_on_node(std::move(*images), mpi, control, progress);
    }
  }
  progress.allow_extra_seconds(kRankZeroSeconds);  // to read a checkpoint whole
  read_initial_weights(config, trainee, control);
  if (!config.monitoring.token_file.empty()) {
    [[maybe_unused]] const auto token = read_token_file(config.monitoring.token_file);
  }
  const auto folder = open_run_folder(config, loaded.preset, fingerprint_of(sources), control);
  watchdog.log_to(folder.path);
  const CollectivesOnError on_error(folder.path, mpi.rank(), mpi.size(), progress.log());
  auto state = trainee.state();
  if (folder.resume_from) {
    read_checkpoint(*folder.resume_from, state);
    compare_start(trainee, control);
    if (mpi.rank() == 0) {
      set_later_aside(folder.checkpoints(), trainee.progress.step);
      mark_best_again(folder.checkpoints(), trainee.progress.best_step);
      keep_passed_over_before(passed_over_file(folder.path), trainee.progress.cursor,
                              config.trainer.batch_size);
    }
  }
  progress.allow_extra_seconds(0);
  if (config.trainer.matmul == Matmul::kAuto) {
    config.trainer.matmul = choose_matmul(config, binding.device, folder.resume_from, control);
    set_matmul(*trainee.model.decoder, config.trainer.matmul);
    if (mpi.rank() == 0 && has_matmul_choice(config, binding.device)) {
      std::printf("matmul       %s\n", value_of(config, "trainer.matmul").c_str());
    }
  }
  if (mpi.rank() == 0) {
    std::printf("run folder   %s%s\n", folder.path.c_str(),
                folder.resume_from
                    ? (", resumed after step " + std::to_string(trainee.progress.step)).c_str()
                    : "");
    std::fflush(stdout);
  }
  config.run.folder = folder.path.string();
  config.run.resume.clear();  // of this start, not of the run
  const auto ini = to_ini(config);
  if (mpi.rank() == 0) write_config_ini(folder.path, ini);
  config.parallel.bucket_bytes = bucket.bytes;  // of this start: other ranks, another network

  std::unique_ptr<LedgerWriter> ledger;
  if (mpi.rank() == 0 && !config.data.ledger.empty()) {
    ledger = std::make_unique<LedgerWriter>(config.data.ledger, trainee.progress.step);
  }
  const auto batches = sources.train->images() / config.trainer.batch_size;
  const auto info =
      run_info(config, folder, mpi, shape, trainee.flat(), total_steps(config.trainer, batches));
  Watchers watchers(config, info, mpi, progress, control, watchdog, trainee.progress.step);
  for (const auto& warning : sources.train->warnings()) {
    if (mpi.rank() == 0) watchers.warn(warning);
  }
  if (!binding.warning.empty()) watchers.warn(binding.warning);
  watchers.info("training with " + binding.description + " on " + host_name());
  TrainingLoop loop(
      {.config = config,
       .train = *sources.train,
       .held_out = sources.held_out.get(),
       .targets = sources.targets.get(),
       .held_out_targets = sources.held_out_targets.get(),
       .state = state,
       .communicator = *communicator,
       .control = control,
       .coordinate_group = coordinate_group.get(),
       .progress = progress,
       .stop_requested = stop_requested,
       .observers = watchers.observers(),
       .checkpoint_folder = folder.checkpoints(),
       .origin = {.config_ini = ini, .world = mpi.size(), .dataset = fingerprint_of(sources)},
       .ledger = ledger.get(),
       .node_ranks = mpi.local_size(),
       .warn = [&](const std::string& sentence) { watchers.warn(sentence); }});
  const auto ending = loop.run();
  progress.allow_extra_seconds(kRankZeroSeconds);  // for the report
  if (mpi.rank() == 0) {
    write_report(folder.path);
    watchers.end(folder, ending);
    print_ending(folder, trainee.progress, ending, trainee.model.objective->loss_in_words());
    std::fflush(stdout);
  }
  control.barrier();
  if (coordinate_group) coordinate_group->close();
  communicator->close();
  return static_cast<int>(ending == Ending::kStopped ? ExitCode::kStopped : ExitCode::kDone);
}

}  // namespace gondola
