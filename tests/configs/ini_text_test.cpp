#include "configs/ini_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gondola {
namespace {

TEST(IniText, sections_keys_values_and_lines_are_read) {
  const auto content =
      read_ini("# comment\n\n[latent]\nsize=8\n  steps =  3 \r\n; more\n[run]\nseed = 1", "x");
  ASSERT_TRUE(content.problems.empty());
  ASSERT_EQ(content.entries.size(), 3u);
  EXPECT_EQ(content.entries[0].name, "latent.size");
  EXPECT_EQ(content.entries[0].value, "8");
  EXPECT_EQ(content.entries[0].line, 4);
  EXPECT_EQ(content.entries[1].name, "latent.steps");
  EXPECT_EQ(content.entries[1].value, "3");
  EXPECT_EQ(content.entries[2].name, "run.seed");
  EXPECT_EQ(content.entries[2].line, 8);
}

TEST(IniText, a_number_sign_inside_a_value_belongs_to_it) {
  EXPECT_EQ(read_ini("[run]\nfolder = runs/#7 ; b\n", "x").entries.at(0).value, "runs/#7 ; b");
}

TEST(IniText, every_line_that_makes_no_sense_is_named) {
  const auto content = read_ini("[latent]\nsize 8\n= 3\nsteps = 2\n", "my.ini");
  ASSERT_EQ(content.problems.size(), 2u);
  EXPECT_THAT(content.problems[0], testing::HasSubstr("line 2 of my.ini is \"size 8\""));
  EXPECT_THAT(content.problems[1], testing::HasSubstr("line 3 of my.ini"));
  EXPECT_EQ(content.entries.size(), 1u);
}

TEST(IniText, a_written_line_reads_back_as_the_same_value) {
  for (const std::string value :
       {"", "a", " blanks ", "\"", "\"quoted\"", "\t", "a # b", "[x]", "a=b", "\"half", "#"}) {
    const auto content = read_ini("[s]\n" + ini_line("key", value) + "\n", "x");
    ASSERT_EQ(content.entries.size(), 1u) << value;
    EXPECT_EQ(content.entries[0].value, value);
  }
}

}  // namespace
}  // namespace gondola
