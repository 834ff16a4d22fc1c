#include "monitoring/metrics_observer.hpp"

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <gondola_version.hpp>
#include <limits>

namespace gondola {

namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;

Counter& counter(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

/// A gauge that nothing has been reported for says so: NaN, never a 0 that looks measured.
Gauge& gauge(Registry& registry, const char* name, const char* help) {
  auto& made = BuildGauge().Name(name).Help(help).Register(registry).Add({});
  made.Set(std::numeric_limits<double>::quiet_NaN());
  return made;
}

/// Upper bounds in seconds: 1, 2, 5 a decade, from a millisecond to a hundred seconds.
Histogram::BucketBoundaries duration_buckets() {
  Histogram::BucketBoundaries bounds;
  for (const double decade : {1e-3, 1e-2, 1e-1, 1.0, 10.0}) {
    bounds.insert(bounds.end(), {decade, 2 * decade, 5 * decade});
  }
  bounds.push_back(100.0);
  return bounds;
}

/// Memory of this process that is in RAM; NaN where the system does not say.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total_pages = 0.0;
  double resident_pages = 0.0;
  if (!(statm >> total_pages >> resident_pages)) return std::numeric_limits<double>::quiet_NaN();
  return resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

}  // namespace

MetricsObserver::MetricsObserver(const RunInfo& info)
    : steps_(counter(registry_, "gondola_steps_total", "Optimiser steps done by this process.")),
      images_(counter(registry_, "gondola_images_total", "Images this rank trained on.")),
      reduced_bytes_(counter(registry_, "gondola_reduced_bytes_total",
                             "Bytes of gradient this rank gave to be all-reduced.")),
      nonfinite_steps_(counter(registry_, "gondola_nonfinite_steps_total",
                               "Steps whose update was skipped because it was not finite, or out "
                               "of bounds.")),
      rollbacks_(counter(registry_, "gondola_rollbacks_total",
                         "Times that training went back to a checkpoint.")),
      mends_(counter(registry_, "gondola_replica_mends_total",
                     "Replica checks that found a small drift between ranks and mended it.")),
      step_(gauge(registry_, "gondola_step", "Global step done last.")),
      epoch_(gauge(registry_, "gondola_epoch", "Epoch of that step, from 0.")),
      loss_(BuildGauge()
                .Name("gondola_loss")
                .Help("Loss an image: of the last logged batch (train) or evaluation.")
                .Register(registry_)),
      train_loss_(loss_.Add({{"split", "train"}}, std::numeric_limits<double>::quiet_NaN())),
      inner_loss_(gauge(registry_, "gondola_inner_loss", "Loss an image at the origin.")),
      gradient_norm_(
          gauge(registry_, "gondola_gradient_norm", "Norm of the mean gradient before clipping.")),
      latent_norm_(gauge(registry_, "gondola_latent_norm",
                         "Root mean square over the batch of the latents' norms.")),
      learning_rate_(gauge(registry_, "gondola_learning_rate", "Learning rate.")),
      images_per_second_(gauge(registry_, "gondola_images_per_second",
                               "Images a second over all ranks, since the last logged step.")),
      model_flops_(gauge(registry_, "gondola_model_flops_per_second",
                         "Floating-point operations a second, over all ranks, of the network's "
                         "forward and backward pass; what encoding adds is not counted.")),
      model_flops_ratio_(gauge(registry_, "gondola_model_flops_utilization_ratio",
                               "A rank's share of these over the rate of matrix products alone on "
                               "it (MFU), which was measured when it started.")),
      resident_bytes_(gauge(registry_, "gondola_process_resident_memory_bytes",
                            "Memory of this process that is in RAM.")),
      eval_(BuildGauge()
                .Name("gondola_eval")
                .Help("Metrics of the last evaluation of a split.")
                .Register(registry_)),
      step_duration_(prometheus::BuildHistogram()
                         .Name("gondola_step_duration_seconds")
                         .Help("Duration of a step, as the mean since the last logged step.")
                         .Register(registry_)
                         .Add({}, duration_buckets())),
      parts_(BuildGauge()
                 .Name("gondola_part")
                 .Help("More means over the last logged batch, by the family of models: accuracy, "
                       "divergence, ...")
                 .Register(registry_)),
      flop_per_image_(info.flop_per_image),
      matmul_rate_over_ranks_(info.matmul_rate * info.world_size),
      folder_(info.folder) {
  auto& phases = BuildCounter()
                     .Name("gondola_phase_seconds_total")
                     .Help("Where the steps' time went.")
                     .Register(registry_);
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    phase_seconds_[phase] = &phases.Add({{"phase", kPhaseNames[phase]}});
  }
  BuildGauge()
      .Name("gondola_build_info")
      .Help("The program: always 1, said by the labels.")
      .Register(registry_)
      .Add({{"version", kVersion}, {"revision", kRevision}}, 1.0);
  BuildGauge()
      .Name("gondola_run_info")
      .Help("The run: always 1, said by the labels.")
      .Register(registry_)
      .Add({{"run", info.run},
            {"decoder", info.decoder},
            {"dataset", info.dataset},
            {"device", info.device},
            {"world_size", std::to_string(info.world_size)}},
           1.0);
  gauge(registry_, "gondola_start_time_seconds", "Unix time at which this process began to train.")
      .Set(unix_seconds());
  gauge(registry_, "gondola_planned_steps", "Global step after which the run ends.")
      .Set(static_cast<double>(info.planned_steps));
  if (info.rank == 0) add_gauges_of_the_run();
}

void MetricsObserver::add_gauges_of_the_run() {
  slowness_gauges_ =
      &BuildGauge()
           .Name("gondola_rank_slowness_ratio")
           .Help(
               "A rank's own work in a step (data, inner, outer) over the median of the ranks: "
               "median of the last logged steps.")
           .Register(registry_);
  checkpoint_time_ = &gauge(registry_, "gondola_last_checkpoint_timestamp_seconds",
                            "Unix time at which the last checkpoint was complete.");
  checkpoint_seconds_ = &gauge(registry_, "gondola_last_checkpoint_duration_seconds",
                               "What writing the last checkpoint took, beside training or not.");
  checkpoint_failures_ = &counter(registry_, "gondola_checkpoint_failures_total",
                                  "Checkpoints that could not be written.");
  if (folder_.empty()) return;
  available_bytes_ = &gauge(registry_, "gondola_run_folder_available_bytes",
                            "Room left on the run folder's file system.");
  file_system_bytes_ = &gauge(registry_, "gondola_run_folder_file_system_bytes",
                              "Size of the run folder's file system.");
  measure_file_system();
}

/// On the training thread, which writes to that file system anyway: one that hangs must not hold
/// the endpoint's threads.
void MetricsObserver::measure_file_system() {
  std::error_code error;
  const auto space = std::filesystem::space(folder_, error);
  if (error) return;
  available_bytes_->Set(static_cast<double>(space.available));
  file_system_bytes_->Set(static_cast<double>(space.capacity));
}

void MetricsObserver::on_step(const StepReport& report) {
  ++steps_since_logged_;
  steps_.Increment();
  images_.Increment(static_cast<double>(report.images));
  reduced_bytes_.Increment(static_cast<double>(report.bytes_reduced));
  nonfinite_steps_.Increment(static_cast<double>(report.skipped));
  step_.Set(static_cast<double>(report.step));
  epoch_.Set(static_cast<double>(report.epoch));
  if (!report.logged) return;

  train_loss_.Set(report.loss);
  inner_loss_.Set(report.inner_loss);
  gradient_norm_.Set(report.gradient_norm);
  latent_norm_.Set(report.latent_norm);
  learning_rate_.Set(report.learning_rate);
  images_per_second_.Set(report.images_per_second);
  const auto flops = flop_per_image_ * report.images_per_second;
  model_flops_.Set(flops);
  if (matmul_rate_over_ranks_ > 0) model_flops_ratio_.Set(flops / matmul_rate_over_ranks_);
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    phase_seconds_[phase]->Increment(report.phase_seconds[phase] *
                                     static_cast<double>(steps_since_logged_));
  }
  for (; steps_since_logged_ > 0; --steps_since_logged_)
    step_duration_.Observe(report.step_seconds);
  for (const auto& [name, value] : report.parts) parts_.Add({{"part", name}}).Set(value);

  if (available_bytes_ != nullptr) measure_file_system();
  if (slowness_gauges_ == nullptr) return;
  slowness_.add(report.rank_phase_seconds);
  const auto ratios = slowness_.ratios();
  for (std::size_t rank = 0; rank < ratios.size(); ++rank) {
    slowness_gauges_->Add({{"rank", std::to_string(rank)}}).Set(ratios[rank]);
  }
}

void MetricsObserver::on_eval(const EvalReport& report) {
  for (const auto& [metric, value] : report.metrics) {
    eval_.Add({{"split", report.split}, {"metric", metric}}).Set(value);
    if (metric == "loss" && report.split != "train")
      loss_.Add({{"split", report.split}}).Set(value);
  }
}

void MetricsObserver::on_checkpoint(const CheckpointReport& report) {
  if (checkpoint_time_ == nullptr) return;
  checkpoint_time_->Set(unix_seconds());
  checkpoint_seconds_->Set(report.seconds);
}

void MetricsObserver::on_checkpoint_failure(const CheckpointFailure&) {
  if (checkpoint_failures_ != nullptr) checkpoint_failures_->Increment();
}

void MetricsObserver::on_rollback(const RollbackReport&) {
  rollbacks_.Increment();
  steps_since_logged_ = 0;
}

void MetricsObserver::on_mend(const MendReport&) { mends_.Increment(); }

std::vector<prometheus::MetricFamily> MetricsObserver::Collect() const {
  resident_bytes_.Set(resident_bytes());
  return registry_.Collect();
}

}  // namespace gondola
