#include "configs/option_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "configs/config_io.hpp"
#include "configs/option_table.hpp"

namespace gondola {
namespace {

using testing::HasSubstr;

TEST(OptionText, the_help_names_every_option_with_its_values_and_default) {
  const auto help = options_help();
  for (const auto& option : option_table())
    EXPECT_THAT(help, HasSubstr("--" + option.name() + " "));
  EXPECT_THAT(help, HasSubstr("--model.decoder siren|conv"));
  EXPECT_THAT(help, HasSubstr("--latent.step_size auto|X"));
  EXPECT_THAT(help, HasSubstr("1 to 25 steps; default"));
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(OptionText, the_annotated_config_reads_back_as_the_same_config) {
  auto config = default_config();
  config.latent.step_size = 1.0 / 3.0;
  config.data.path = " a # b ";
  config.model.activation = ActivationKind::kTanh;
  EXPECT_EQ(to_ini(from_ini(annotated_ini(config, {}), "printed")), to_ini(config));
  const auto text = annotated_ini(config, {{"latent.steps", "line 3 of my.ini"}});
  EXPECT_THAT(text, HasSubstr("# Inner gradient steps"));
  EXPECT_THAT(text, HasSubstr("default 1; given: line 3 of my.ini\nsteps = "));
}

TEST(OptionText, docs_options_md_is_what_the_table_says) {
  std::ifstream file(GONDOLA_SOURCE_DIR "/docs/options.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, options_markdown()) << "run: gondola help --markdown > docs/options.md";
}

}  // namespace
}  // namespace gondola
