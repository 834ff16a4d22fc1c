#include "monitoring/live_run.hpp"

#include <algorithm>
#include <chrono>
#include <gondola_version.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "monitoring/run_history.hpp"
#include "monitoring/step_name.hpp"

namespace gondola {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double unix_seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

double unix_now() { return unix_seconds(std::chrono::system_clock::now()); }

/// Those that are complete now, oldest first.
Json checkpoints_of(const fs::path& run_folder) {
  std::vector<std::pair<std::int64_t, double>> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run_folder / "checkpoints", none)) {
    const auto step = step_of(entry.path().filename().string());
    const auto written = fs::last_write_time(entry.path() / "COMPLETE", none);
    if (step < 0 || none) continue;
    found.emplace_back(
        step, unix_seconds(std::chrono::time_point_cast<std::chrono::system_clock::duration>(
                  std::chrono::file_clock::to_sys(written))));
  }
  std::sort(found.begin(), found.end());
  const auto best = step_of(fs::read_symlink(run_folder / "checkpoints" / "best", none).string());
  auto list = Json::array();
  for (const auto& [step, time] : found) {
    list.push_back({{"step", step}, {"time", time}, {"best", step == best}});
  }
  return list;
}

Json phases_json(const PhaseSeconds& seconds) {
  Json phases;
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    phases[kPhaseNames[phase]] = seconds[phase];
  }
  return phases;
}

/// Of the steps' means, for one rank.
PhaseSeconds mean_phases(const std::deque<std::vector<PhaseSeconds>>& steps, std::size_t rank) {
  PhaseSeconds mean{};
  for (const auto& ranks : steps) {
    for (std::size_t phase = 0; phase < mean.size(); ++phase) {
      mean[phase] += ranks[rank][phase] / static_cast<double>(steps.size());
    }
  }
  return mean;
}

/// Keeps the first of each two.
template <typename Value>
void drop_every_other(std::vector<Value>& values) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < values.size(); i += 2) values[kept++] = values[i];
  values.resize(kept);
}

}  // namespace

LiveRun::LiveRun(const RunInfo& info) : info_(info), started_(unix_now()) {
  last_.loss = last_.inner_loss = last_.gradient_norm = last_.latent_norm = kNone;
  last_.learning_rate = last_.images_per_second = last_.step_seconds = kNone;
  const auto metrics = info.folder / "metrics.jsonl";
  if (!fs::exists(metrics)) return;
  const auto history = read_run_history(metrics);
  for (const auto& report : history.steps) {
    add_point(report);
    step_ = report.step;
    epoch_ = report.epoch;
    last_ = report;
  }
  for (const auto& report : history.evaluations) add_evaluation(report);
}

void LiveRun::add_point(const StepReport& report) {
  if (logged_++ % stride_ != 0) return;
  points_.push_back({report.step, report.loss, report.images_per_second});
  if (points_.size() < kPoints) return;
  drop_every_other(points_);
  stride_ *= 2;
}

void LiveRun::add_evaluation(const EvalReport& report) {
  evaluations_.push_back(report);
  if (evaluations_.size() >= kPoints) drop_every_other(evaluations_);
}

void LiveRun::on_step(const StepReport& report) {
  const std::lock_guard lock(mutex_);
  step_ = report.step;
  epoch_ = report.epoch;
  skipped_ += report.skipped;
  if (first_step_ == 0) {
    first_step_ = report.step;
    first_time_ = unix_now();
  }
  if (!report.logged) return;
  last_ = report;
  slowness_.add(report.rank_phase_seconds);
  rank_phases_.push_back(report.rank_phase_seconds);
  if (rank_phases_.size() > RankSlowness::kWindow) rank_phases_.pop_front();
  add_point(report);
}

void LiveRun::on_eval(const EvalReport& report) {
  const std::lock_guard lock(mutex_);
  add_evaluation(report);
}

void LiveRun::on_rollback(const RollbackReport& report) {
  const std::lock_guard lock(mutex_);
  const auto later = [&](const auto& of) { return of.step > report.step; };
  std::erase_if(points_, later);
  std::erase_if(evaluations_, later);
  step_ = last_.step = report.step;
  first_step_ = 0;  // the pace is measured anew
}

/// At the pace of this process up to now, evaluations and checkpoints included.
double LiveRun::seconds_left(double now) const {
  if (first_step_ == 0 || step_ == first_step_) return kNone;
  const auto done = static_cast<double>(step_ - first_step_);
  return static_cast<double>(info_.planned_steps - step_) * (now - first_time_) / done;
}

std::string LiveRun::json() const {
  auto checkpoints = checkpoints_of(info_.folder);
  const auto picture = step_of(newest_picture(info_.folder).stem().string());
  const double now = unix_now();

  const std::lock_guard lock(mutex_);
  Json last = {{"step", last_.step},
               {"loss", last_.loss},
               {"inner_loss", last_.inner_loss},
               {"gradient_norm", last_.gradient_norm},
               {"latent_norm", last_.latent_norm},
               {"learning_rate", last_.learning_rate},
               {"images_per_second", last_.images_per_second},
               {"step_seconds", last_.step_seconds},
               {"parts", last_.parts}};
  auto steps = Json::array();
  auto losses = Json::array();
  auto rates = Json::array();
  const auto add = [&](std::int64_t step, double loss, double rate) {
    steps.push_back(step);
    losses.push_back(loss);
    rates.push_back(rate);
  };
  for (const auto& point : points_) add(point.step, point.loss, point.images_per_second);
  if (!points_.empty() && points_.back().step < last_.step) {  // thinned curves end now, too
    add(last_.step, last_.loss, last_.images_per_second);
  }
  auto evaluations = Json::array();
  for (const auto& report : evaluations_) {
    evaluations.push_back(
        {{"step", report.step}, {"split", report.split}, {"metrics", report.metrics}});
  }
  auto ranks = Json::array();
  const auto ratios = slowness_.ratios();
  for (std::size_t rank = 0; rank < last_.rank_phase_seconds.size(); ++rank) {
    ranks.push_back({{"phase_seconds", phases_json(mean_phases(rank_phases_, rank))},
                     {"slowness", rank < ratios.size() ? ratios[rank] : kNone}});
  }
  return Json{{"run", info_.run},
              {"decoder", info_.decoder},
              {"dataset", info_.dataset},
              {"device", info_.device},
              {"world_size", info_.world_size},
              {"version", kVersion},
              {"now", now},
              {"started", started_},
              {"step", step_},
              {"planned_steps", info_.planned_steps},
              {"epoch", epoch_},
              {"skipped", skipped_},
              {"seconds_left", seconds_left(now)},
              {"last", std::move(last)},
              {"train",
               {{"step", std::move(steps)},
                {"loss", std::move(losses)},
                {"images_per_second", std::move(rates)}}},
              {"evaluations", std::move(evaluations)},
              {"ranks", std::move(ranks)},
              {"checkpoints", std::move(checkpoints)},
              {"picture_step", picture < 0 ? Json() : Json(picture)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);  // names need not be UTF-8
}

std::filesystem::path newest_picture(const fs::path& run_folder) {
  const auto pictures = pictures_of(run_folder);
  return pictures.empty() ? fs::path() : pictures.rbegin()->second;
}

}  // namespace gondola
