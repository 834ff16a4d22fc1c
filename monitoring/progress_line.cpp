#include "monitoring/progress_line.hpp"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace gondola {

namespace {

/// 42 s, 3 min 05 s, 2 h 07 min, 3 d 04 h.
std::string in_words(double seconds) {
  const auto s = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
  return fmt::format("{} d {:02} h", s / 86400, s / 3600 % 24);
}

/// Open MPI's mpirun gives its ranks a pseudo-terminal whatever its own output is, a file or a pipe
/// too: then what counts is where the parent process writes. True without mpirun.
bool launcher_writes_to_a_terminal() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return true;
  std::error_code error;
  const auto output =
      std::filesystem::read_symlink("/proc/" + std::to_string(::getppid()) + "/fd/1", error);
  return !error &&
         (output.string().starts_with("/dev/pts/") || output.string().starts_with("/dev/tty"));
}

}  // namespace

ProgressOptions::Style progress_style_of(int descriptor) {
  const bool terminal = ::isatty(descriptor) == 1 && launcher_writes_to_a_terminal();
  return terminal ? ProgressOptions::Style::kRefresh : ProgressOptions::Style::kPlain;
}

ProgressLine::~ProgressLine() {
  if (line_open_) write("\n");
}

void ProgressLine::on_step(const StepReport& report) {
  const auto now = Clock::now();
  if (step_ == 0) {
    first_step_ = report.step;
    first_time_ = now;
  }
  step_ = report.step;
  epoch_ = report.epoch;
  if (report.logged) logged_ = report;
  if (logged_.step == 0) return;  // nothing to say yet

  const bool refresh = options_.style == ProgressOptions::Style::kRefresh;
  const double pause = refresh ? options_.refresh_seconds : options_.plain_interval_seconds;
  const bool due = shown_step_ == 0 || now - shown_time_ >= std::chrono::duration<double>(pause);
  if (due || step_ == options_.total_steps) show(now);
}

void ProgressLine::on_eval(const EvalReport& report) {
  auto line = fmt::format("step {}: {} on {} images:", report.step, report.split, report.images);
  for (const auto& [metric, value] : report.metrics) {
    line += fmt::format(" {} {:.5g}", metric, value);
  }
  keep_line(line);
}

void ProgressLine::on_rollback(const RollbackReport& report) {
  keep_line(fmt::format("step {}: back to step {}", report.from_step, report.step));
  step_ = 0;  // the pace is measured anew
}

void ProgressLine::flush() {
  if (logged_.step != 0 && shown_step_ != step_) show(Clock::now());
  if (line_open_) write("\n");
  line_open_ = false;
}

std::string ProgressLine::text(Clock::time_point now) const {
  auto line = fmt::format("step {}/{}  epoch {}  loss {:.5g}  {:.4g} images/s", step_,
                          options_.total_steps, epoch_, logged_.loss, logged_.images_per_second);
  const auto steps_left = options_.total_steps - step_;
  if (steps_left > 0) {
    // Wall time a step, so that evaluations and checkpoints count; before the second step, the
    // report's.
    const auto steps_done = step_ - first_step_;
    const double elapsed = std::chrono::duration<double>(now - first_time_).count();
    const double step_seconds =
        steps_done > 0 ? elapsed / static_cast<double>(steps_done) : logged_.step_seconds;
    line += fmt::format("  {} left", in_words(step_seconds * static_cast<double>(steps_left)));
  }
  return line;
}

void ProgressLine::show(Clock::time_point now) {
  const auto line = text(now);
  if (options_.style == ProgressOptions::Style::kRefresh) {
    write("\r\x1b[K" + line);  // to the left edge, wiping what was there
    line_open_ = true;
  } else {
    write(line + "\n");
  }
  shown_step_ = step_;
  shown_time_ = now;
}

void ProgressLine::keep_line(std::string_view line) {
  if (line_open_) write("\r\x1b[K");
  line_open_ = false;
  write(fmt::format("{}\n", line));
}

void ProgressLine::write(std::string_view text) const {
  while (!text.empty()) {
    const auto count = ::write(options_.descriptor, text.data(), text.size());
    if (count < 0 && errno != EINTR) return;
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace gondola
