#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "trainer/step_report.hpp"

namespace gondola {

struct ProgressOptions {
  enum class Style {
    kRefresh,  ///< A terminal: one line, drawn over itself.
    kPlain,    ///< A file or a pipe: now and then a line, no control characters.
  };
  int descriptor = 1;  ///< Where to write; not closed.
  Style style = Style::kPlain;
  std::int64_t total_steps = 0;         ///< The run ends after this global step.
  double refresh_seconds = 0.1;         ///< At least so long between two drawings of the line.
  double plain_interval_seconds = 5.0;  ///< At least so long between two plain lines.
};

/// kRefresh where `descriptor` is a terminal, and under mpirun where mpirun itself writes to one;
/// else kPlain.
[[nodiscard]] ProgressOptions::Style progress_style_of(int descriptor);

/// How training goes, for a person watching rank 0: step, epoch, loss, images/s, time left; each
/// evaluation gets a line that stays. Write errors are ignored: nobody may be watching.
class ProgressLine final : public StepObserver {
 public:
  explicit ProgressLine(const ProgressOptions& options) : options_(options) {}
  ~ProgressLine() override;

  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_rollback(const RollbackReport& report) override;
  /// Shows the last step and ends the line.
  void flush() override;

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::string text(Clock::time_point now) const;
  void show(Clock::time_point now);
  void keep_line(std::string_view line);
  void write(std::string_view text) const;

  ProgressOptions options_;
  StepReport logged_;      ///< The last report with its scalars set.
  std::int64_t step_ = 0;  ///< The last step seen; 0: none yet.
  std::int64_t epoch_ = 0;
  std::int64_t shown_step_ = 0;
  std::int64_t first_step_ = 0;  ///< First step of this process, and when it was done.
  Clock::time_point first_time_;
  Clock::time_point shown_time_;
  bool line_open_ = false;
};

}  // namespace gondola
