#include "launch/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configs/errors.hpp"
#include "configs/option_text.hpp"

namespace gondola {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Command parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "gondola");
  return parse_command(static_cast<int>(words.size()), words.data());
}

TEST(ParseCommand, the_first_word_is_the_command_and_the_rest_are_its_own) {
  const auto command = parsed({"train", "--config", "quickstart", "--help"});
  EXPECT_EQ(command.name, "train");
  EXPECT_THAT(command.args, ElementsAre("--config", "quickstart", "--help"));
}

TEST(ParseCommand, without_a_command_it_is_help) {
  EXPECT_EQ(parsed({}).name, "help");
  EXPECT_EQ(parsed({"--help"}).name, "help");
  EXPECT_EQ(parsed({"-h"}).name, "help");
  EXPECT_EQ(parse_command(0, nullptr).name, "help");
}

TEST(ParseCommand, help_about_a_command_is_that_command_s_own_help) {
  const auto command = parsed({"help", "import"});
  EXPECT_EQ(command.name, "import");
  EXPECT_THAT(command.args, ElementsAre("--help"));
}

TEST(ParseCommand, help_about_itself_or_with_an_option_stays_help) {
  EXPECT_EQ(parsed({"help", "help"}).name, "help");
  EXPECT_EQ(parsed({"help", "--markdown"}).name, "help");
}

TEST(ParseCommand, a_question_for_the_version_is_a_command) {
  EXPECT_EQ(parsed({"--version"}).name, "version");
}

TEST(ParseCommand, an_unknown_command_is_named_with_the_nearest_one) {
  for (const auto& words : {std::vector<const char*>{"trian"}, {"help", "trian"}}) {
    try {
      (void)parsed(words);
      FAIL() << "an unknown command was accepted";
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadConfig);
      EXPECT_STREQ(error.what(), "unknown command trian; did you mean train?");
    }
  }
  EXPECT_THROW((void)parsed({"zebra"}), ConfigError);
}

TEST(CommandTable, holds_every_command_once) {
  std::vector<std::string> names;
  for (const auto& command : command_table()) {
    names.push_back(command.name);
    EXPECT_TRUE(command.usage.starts_with(command.name)) << command.name;
    EXPECT_THAT(command.summary, testing::Not(IsEmpty()));
  }
  EXPECT_THAT(names, ElementsAre("train", "import", "inspect", "eval", "reconstruct", "sample",
                                 "interpolate", "export", "encode", "bench", "report", "help"));
}

TEST(CommandHelp, begins_with_the_usage_and_ends_with_the_options) {
  const auto text = command_help("inspect", "  --sheet FILE\n");
  EXPECT_THAT(text, HasSubstr("usage: gondola inspect FILE"));
  EXPECT_TRUE(text.ends_with("\n  --sheet FILE\n"));
}

TEST(RunHelp, prints_every_command) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_help({}), 0);
  const auto text = testing::internal::GetCapturedStdout();
  for (const auto& command : command_table()) {
    EXPECT_THAT(text, HasSubstr("\n  " + command.name + " "));
    EXPECT_THAT(text, HasSubstr(command.summary));
  }
}

TEST(RunHelp, prints_the_documentation_of_the_options_on_request) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_help(std::vector<std::string>{"--markdown"}), 0);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), options_markdown());
}

TEST(RunHelp, prints_a_manual_page_of_all_commands_and_options) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_help(std::vector<std::string>{"--man"}), 0);
  const auto page = testing::internal::GetCapturedStdout();
  EXPECT_THAT(page, StartsWith(".TH GONDOLA 1"));
  for (const auto& command : command_table()) {
    EXPECT_THAT(page, HasSubstr(".B gondola " + command.name));
  }
  EXPECT_THAT(page, HasSubstr(".B \\-\\-trainer.batch_size N\n"));
  EXPECT_THAT(page, Not(HasSubstr("\n'"))) << "a line that troff takes for a request";
}

TEST(RunHelp, refuses_other_arguments) {
  EXPECT_THROW((void)run_help(std::vector<std::string>{"--markdwon"}), ConfigError);
}

}  // namespace
}  // namespace gondola
