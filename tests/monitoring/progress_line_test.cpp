#include "monitoring/progress_line.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>

#include "tests/monitoring/temporary_folder.hpp"

namespace gondola {
namespace {

using Style = ProgressOptions::Style;

class ProgressLineTest : public FolderTest {
 protected:
  ProgressLineTest()
      : descriptor_(::open((folder() / "out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644)) {}
  ~ProgressLineTest() override { ::close(descriptor_); }

  [[nodiscard]] ProgressOptions options(Style style, double seconds) const {
    return {.descriptor = descriptor_,
            .style = style,
            .total_steps = 1000,
            .refresh_seconds = seconds,
            .plain_interval_seconds = seconds};
  }
  [[nodiscard]] std::string output() const { return read("out"); }

 private:
  int descriptor_;
};

StepReport step(std::int64_t number, bool logged) {
  StepReport report;
  report.step = number;
  report.epoch = 3;
  report.logged = logged;
  if (!logged) return report;
  report.loss = 12.34567;
  report.images_per_second = 2048.25;
  report.step_seconds = 0.5;
  return report;
}

EvalReport evaluation(std::int64_t number) {
  return {.step = number,
          .split = "test",
          .images = 500,
          .metrics = {{"loss", 9.25}, {"psnr", 20.5}},
          .encoding = ""};
}

TEST_F(ProgressLineTest, plain_lines_say_where_training_is) {
  ProgressLine progress(options(Style::kPlain, 0.0));
  progress.on_step(step(100, true));
  progress.on_eval(evaluation(100));
  EXPECT_EQ(output(),
            "step 100/1000  epoch 3  loss 12.346  2048 images/s  7 min 30 s left\n"
            "step 100: test on 500 images: loss 9.25 psnr 20.5\n");
}

TEST_F(ProgressLineTest, a_rollback_is_told_and_the_pace_is_measured_anew) {
  ProgressLine progress(options(Style::kPlain, 0.0));
  progress.on_step(step(100, true));
  progress.on_rollback({.step = 50, .from_step = 101, .reason = ""});
  progress.on_step(step(51, true));
  // 949 steps are left, at the half a second that the report says.
  EXPECT_EQ(output(),
            "step 100/1000  epoch 3  loss 12.346  2048 images/s  7 min 30 s left\n"
            "step 101: back to step 50\n"
            "step 51/1000  epoch 3  loss 12.346  2048 images/s  7 min 55 s left\n");
}

TEST_F(ProgressLineTest, plain_lines_are_rare_and_the_last_step_is_always_shown) {
  ProgressLine progress(options(Style::kPlain, 3600.0));
  for (std::int64_t number = 1; number <= 1000; ++number) progress.on_step(step(number, true));
  EXPECT_EQ(output(),
            "step 1/1000  epoch 3  loss 12.346  2048 images/s  8 min 20 s left\n"
            "step 1000/1000  epoch 3  loss 12.346  2048 images/s\n");
}

TEST_F(ProgressLineTest, a_stop_between_two_lines_shows_the_last_step) {
  ProgressLine progress(options(Style::kPlain, 3600.0));
  progress.on_step(step(1, true));
  progress.on_step(step(2, false));
  progress.flush();
  progress.flush();
  const auto text = output();
  EXPECT_NE(text.find("\nstep 2/1000  epoch 3  loss 12.346"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST_F(ProgressLineTest, nothing_is_said_before_a_loss_is_known) {
  ProgressLine progress(options(Style::kPlain, 0.0));
  progress.on_step(step(1, false));
  progress.flush();
  EXPECT_EQ(output(), "");
}

TEST_F(ProgressLineTest, plain_output_has_no_control_characters) {
  {
    ProgressLine progress(options(Style::kPlain, 0.0));
    progress.on_step(step(1, true));
    progress.on_eval(evaluation(1));
    progress.on_step(step(2, true));
    progress.flush();
  }
  for (const char c : output()) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << int{c};
}

TEST_F(ProgressLineTest, on_a_terminal_one_line_is_drawn_over_itself_and_evaluations_stay) {
  {
    ProgressLine progress(options(Style::kRefresh, 0.0));
    progress.on_step(step(1, true));
    progress.on_step(step(2, false));
    progress.on_eval(evaluation(2));
    progress.on_step(step(3, false));
  }
  const auto text = output();
  EXPECT_TRUE(text.starts_with("\r\x1b[Kstep 1/1000")) << text;
  EXPECT_NE(text.find("left\r\x1b[Kstep 2/1000"), std::string::npos) << text;
  EXPECT_NE(
      text.find("\r\x1b[Kstep 2: test on 500 images: loss 9.25 psnr 20.5\n\r\x1b[Kstep 3/1000"),
      std::string::npos)
      << text;
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(ProgressLineTest, on_a_terminal_the_line_is_not_drawn_for_every_step) {
  ProgressLine progress(options(Style::kRefresh, 3600.0));
  for (std::int64_t number = 1; number < 1000; ++number) progress.on_step(step(number, true));
  const auto text = output();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 1);
}

TEST(ProgressStyle, is_refresh_on_a_terminal_only) {
  int leader = -1;
  int follower = -1;
  ASSERT_EQ(::openpty(&leader, &follower, nullptr, nullptr, nullptr), 0);
  EXPECT_EQ(progress_style_of(follower), Style::kRefresh);
  ::close(leader);
  ::close(follower);
  const int file = ::open("/dev/null", O_WRONLY);
  EXPECT_EQ(progress_style_of(file), Style::kPlain);
  ::close(file);
}

}  // namespace
}  // namespace gondola
