#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "configs/config_io.hpp"
#include "configs/option_table.hpp"
#include "configs/option_text.hpp"
#include "configs/validate_config.hpp"
#include "data/batch_loader.hpp"
#include "data/ledger.hpp"
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
#include "launch/trainee.hpp"
#include "launch/training_images.hpp"
#include "launch/watchdog.hpp"
#include "launch/watchers.hpp"
#include "monitoring/report.hpp"
#include "trainer/model.hpp"
#include "trainer/parallel/make_communicator.hpp"
#include "trainer/parallel/mpi_communicator.hpp"
#include "trainer/training_loop.hpp"

namespace gondola {
namespace {

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

/// What is about to be trained, and how.
void print_plan(const RunConfig& config, const TrainingImages& images, const CacheChoice& cache,
                const torch::Tensor& weights, const BucketChoice& bucket,
                const DeviceBinding& binding, int world) {
  const auto gradient_bytes = static_cast<std::int64_t>(weights.nbytes());
  auto lines =
      plan_lines(config, *images.train, images.held_out.get(), weights, binding.description, world);
  lines.push_back("cache        " + value_of(config, "data.cache") + " (" + cache.reason + ")");
  for (const auto& line : reduction_lines(bucket, gradient_bytes, world)) lines.push_back(line);
  for (const auto& line : lines) std::printf("%s\n", line.c_str());
}

/// Collective. What trainer.matmul = auto comes to, in this run's config and decoder.
void settle_matmul(RunConfig& config, const DeviceBinding& binding, const RunFolder& folder,
                   Decoder& decoder, Communicator& control) {
  if (config.trainer.matmul != Matmul::kAuto) return;
  config.trainer.matmul = choose_matmul(config, binding.device, folder.resume_from, control);
  set_matmul(decoder, config.trainer);
  if (control.rank() == 0 && has_matmul_choice(config, binding.device)) {
    std::printf("matmul       %s\n", value_of(config, "trainer.matmul").c_str());
  }
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
  auto images = open_training_images(data);
  const auto shape = images.shape();
  check_image_size(config, shape.channels, shape.height, shape.width);
  require_a_batch(*images.train, config.trainer.batch_size);
  compare_images(images, control);
  progress.allow_extra_seconds(0);
  resolve_from_images(config, images);
  const auto cache = choose_cache(config.data.cache, *images.train, images.targets.get(), control);
  config.data.cache = cache.kind;

  Trainee trainee(config, *images.train, shape, binding.device, *communicator);
  const auto bucket = choose_bucket(config.parallel.bucket_bytes, trainee.flat(), *communicator);
  if (!binding.peers.empty()) {
    std::printf("gpus         %s\n", binding.peers.c_str());
    std::fflush(stdout);
  }
  if (mpi.rank() == 0) {
    print_plan(config, images, cache, trainee.flat(), bucket, binding, mpi.size());
  }
  if (loaded.dry_run) {
    if (mpi.rank() == 0) {
      std::printf("dry run: nothing was trained or written\n");
      finish_output();
    }
    return static_cast<int>(ExitCode::kDone);
  }
  if (cache.kind == CacheKind::kHost) {
    for (auto* const source : {&images.train, &images.targets}) {
      if (*source) *source = cache_on_node(std::move(*source), mpi, control, progress);
    }
  }
  progress.allow_extra_seconds(kRankZeroSeconds);  // to read a checkpoint whole
  read_initial_weights(config, trainee, control);
  if (!config.monitoring.token_file.empty()) {
    [[maybe_unused]] const auto token = read_token_file(config.monitoring.token_file);
  }
  const auto dataset = images.fingerprint();
  const auto folder = open_run_folder(config, loaded.preset, dataset, control);
  watchdog.log_to(folder.path);
  const CollectivesOnError on_error(folder.path, mpi.rank(), mpi.size(), progress.log());
  resume_in(folder, config.trainer.batch_size, trainee, control);
  progress.allow_extra_seconds(0);
  settle_matmul(config, binding, folder, *trainee.model.decoder, control);
  config.run.folder = folder.path.string();
  config.run.resume.clear();  // of this start, not of the run
  const auto ini = to_ini(config);
  std::unique_ptr<LedgerWriter> ledger;
  if (mpi.rank() == 0) {
    std::printf("run folder   %s%s\n", folder.path.c_str(),
                folder.resume_from
                    ? (", resumed after step " + std::to_string(trainee.progress.step)).c_str()
                    : "");
    std::fflush(stdout);
    write_config_ini(folder.path, ini);
    if (!config.data.ledger.empty()) {
      ledger = std::make_unique<LedgerWriter>(config.data.ledger, trainee.progress.step);
    }
  }
  config.parallel.bucket_bytes = bucket.bytes;  // of this start: other ranks, another network

  const auto batches = images.train->images() / config.trainer.batch_size;
  const auto info =
      run_info(config, folder, mpi, shape, trainee.flat(), total_steps(config.trainer, batches));
  Watchers watchers(config, info, mpi, progress, control, watchdog, trainee.progress.step);
  for (const auto& warning : images.train->warnings()) {
    if (mpi.rank() == 0) watchers.warn(warning);
  }
  if (!binding.warning.empty()) watchers.warn(binding.warning);
  watchers.info("training with " + binding.description + " on " + host_name());
  auto state = trainee.state();
  TrainingLoop loop({.config = config,
                     .train = *images.train,
                     .held_out = images.held_out.get(),
                     .targets = images.targets.get(),
                     .held_out_targets = images.held_out_targets.get(),
                     .state = state,
                     .communicator = *communicator,
                     .control = control,
                     .coordinate_group = coordinate_group.get(),
                     .progress = progress,
                     .stop_requested = stop_requested,
                     .observers = watchers.observers(),
                     .checkpoint_folder = folder.checkpoints(),
                     .origin = {.config_ini = ini, .world = mpi.size(), .dataset = dataset},
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
