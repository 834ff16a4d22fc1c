#include "configs/config_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "configs/errors.hpp"
#include "configs/option_table.hpp"

namespace gondola {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Args = std::vector<std::string>;

std::string ini_file(const std::string& name, const std::string& text) {
  const auto path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

RunConfig loaded(const Args& args, const Environment& environment = {}) {
  return load_config(args, environment).config;
}

/// The message of the ConfigError that loading ends with; "" when it is accepted.
std::string complaint(const Args& args, const Environment& environment = {},
                      Check check = Check::kValues) {
  try {
    (void)load_config(args, environment, check);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(LoadConfig, without_arguments_everything_has_its_default) {
  const auto config = loaded({});
  EXPECT_EQ(config.latent.size, 32);
  EXPECT_EQ(config.model.decoder, DecoderKind::kSiren);
  EXPECT_EQ(config.optimizer.learning_rate, 1e-4);
  EXPECT_EQ(to_ini(config), to_ini(default_config()));
}

TEST(LoadConfig, the_command_line_wins_over_the_environment_over_later_files_over_earlier_ones) {
  const auto first =
      ini_file("first.ini", "[latent]\nsize = 1\n[model]\nhidden = 1\nlayers = 1\nfilters = 1\n");
  const auto second =
      ini_file("second.ini", "[latent]\nsize = 2\n[model]\nhidden = 2\nlayers = 2\n");
  const Environment environment = {{"GONDOLA_LATENT_SIZE", "3"}, {"GONDOLA_MODEL_HIDDEN", "3"}};
  const auto config =
      loaded({"--latent.size", "4", "--config", first, "--config", second}, environment);
  EXPECT_EQ(config.latent.size, 4);
  EXPECT_EQ(config.model.hidden, 3);
  EXPECT_EQ(config.model.layers, 2);
  EXPECT_EQ(config.model.filters, 1);
}

TEST(LoadConfig, values_follow_their_option_or_an_equal_sign_and_may_be_negative_or_empty) {
  EXPECT_EQ(loaded({"--latent.size=9"}).latent.size, 9);
  EXPECT_THAT(complaint({"--latent.size", "-9"}), HasSubstr("latent.size = -9"));
  const auto file = ini_file("ledger.ini", "[data]\nledger = a\n");
  EXPECT_EQ(loaded({"--config", file, "--data.ledger="}).data.ledger, "");
  EXPECT_EQ(loaded({"--config", file, "--data.ledger", ""}).data.ledger, "");
}

TEST(LoadConfig, a_flag_may_stand_alone) {
  EXPECT_TRUE(loaded({"--latent.detach"}).latent.detach);
  EXPECT_TRUE(loaded({"--latent.detach", "--latent.size", "3"}).latent.detach);
  EXPECT_TRUE(loaded({"--latent.detach", "true"}).latent.detach);
  EXPECT_FALSE(loaded({"--latent.detach=false"}).latent.detach);
}

TEST(LoadConfig, resume_is_short_for_run_resume) {
  EXPECT_EQ(loaded({"--resume", "auto"}).run.resume, "auto");
  EXPECT_EQ(loaded({"--resume=runs/a/checkpoints/step-5"}).run.resume, "runs/a/checkpoints/step-5");
  EXPECT_EQ(loaded({"--run.resume", "auto"}).run.resume, "auto");
  EXPECT_THAT(complaint({"--resume"}), HasSubstr("--resume has no value: give auto or the path"));
}

TEST(LoadConfig, an_automatic_activation_follows_the_decoder) {
  EXPECT_EQ(loaded({}).model.activation, ActivationKind::kSin);
  EXPECT_EQ(loaded({"--model.decoder", "conv"}).model.activation, ActivationKind::kElu);
  EXPECT_EQ(loaded({"--model.activation", "auto", "--model.decoder", "conv"}).model.activation,
            ActivationKind::kElu);
  EXPECT_EQ(loaded({"--model.activation", "swish", "--model.decoder", "conv"}).model.activation,
            ActivationKind::kSwish);
}

TEST(LoadConfig, several_inner_steps_descend_unless_told_otherwise) {
  EXPECT_EQ(loaded({"--latent.steps", "1"}).latent.update, LatentUpdate::kGradient);
  EXPECT_EQ(loaded({"--latent.steps", "3"}).latent.update, LatentUpdate::kDescent);
  EXPECT_EQ(loaded({"--latent.update", "descent"}).latent.update, LatentUpdate::kDescent);
}

TEST(LoadConfig, steps_and_epochs_of_a_higher_precedence_replace_one_another) {
  const auto file = ini_file("epochs.ini", "[trainer]\nepochs = 500\n");
  const auto shorter = loaded({"--config", file, "--trainer.steps", "20"});
  EXPECT_EQ(shorter.trainer.steps, 20);
  EXPECT_EQ(shorter.trainer.epochs, 0);
  const auto again = loaded({"--trainer.epochs", "2"}, {{"GONDOLA_TRAINER_STEPS", "20"}});
  EXPECT_EQ(again.trainer.steps, 0);
  EXPECT_EQ(again.trainer.epochs, 2);
  EXPECT_THAT(complaint({"--data.path", "x", "--trainer.epochs", "2", "--trainer.steps", "3"}, {},
                        Check::kWholeRun),
              HasSubstr("trainer.steps = 3 and trainer.epochs = 2 contradict each other"));
}

TEST(LoadConfig, a_length_of_0_replaces_nothing) {
  const auto epochs = ini_file("epochs.ini", "[trainer]\nepochs = 500\n");
  const auto kept = loaded({"--config", epochs, "--trainer.steps", "0"});
  EXPECT_EQ(kept.trainer.steps, 0);
  EXPECT_EQ(kept.trainer.epochs, 500);
  const auto steps = ini_file("steps.ini", "[trainer]\nsteps = 20\nepochs = 0\n");
  const auto replaced = loaded({"--config", epochs, "--config", steps});
  EXPECT_EQ(replaced.trainer.steps, 20);
  EXPECT_EQ(replaced.trainer.epochs, 0);
  EXPECT_EQ(loaded({"--config", steps, "--trainer.epochs", "0"}).trainer.steps, 20);
}

TEST(LoadConfig, switches_are_told_apart_from_options) {
  const auto none = load_config(Args{}, {});
  EXPECT_FALSE(none.help || none.print_config || none.dry_run);
  EXPECT_TRUE(load_config(Args{"--dry-run"}, {}).dry_run);
  EXPECT_TRUE(load_config(Args{"--print-config"}, {}, Check::kWholeRun).print_config);
  EXPECT_TRUE(load_config(Args{"--help", "--latent.sise", "1"}, {}).help);
  EXPECT_TRUE(load_config(Args{"-h"}, {}).help);
  EXPECT_THAT(complaint({"--dry-run", "yes"}), HasSubstr("--dry-run takes no value"));
}

TEST(LoadConfig, an_unknown_option_is_named_with_the_nearest_known_one) {
  EXPECT_EQ(complaint({"--latent.sise", "3"}),
            "unknown option --latent.sise; did you mean --latent.size?");
  EXPECT_THAT(complaint({"--batch-size=3"}), HasSubstr("did you mean --trainer.batch_size?"));
  EXPECT_THAT(complaint({"--dryrun"}), HasSubstr("did you mean --dry-run?"));
  EXPECT_THAT(complaint({"--zebra"}), HasSubstr("gondola train --help"));
}

TEST(LoadConfig, options_are_not_abbreviated) {
  EXPECT_THAT(complaint({"--latent.siz", "3"}), HasSubstr("unknown option --latent.siz;"));
}

TEST(LoadConfig, a_word_that_is_no_option_is_named) {
  EXPECT_THAT(complaint({"quickstart"}), HasSubstr("unexpected argument \"quickstart\""));
}

TEST(LoadConfig, a_missing_value_is_named_with_what_it_should_be) {
  EXPECT_THAT(complaint({"--latent.steps"}),
              HasSubstr("--latent.steps has no value: give a whole number 1 to 25"));
  EXPECT_THAT(complaint({"--config"}), HasSubstr("--config has no value"));
}

TEST(LoadConfig, an_unknown_key_of_a_file_is_named_with_file_and_line) {
  const auto file = ini_file("typo.ini", "[latent]\n\nsise = 3\n[modle]\nhidden = 2\n");
  EXPECT_THAT(complaint({"--config", file}),
              AllOf(HasSubstr("unknown option latent.sise (line 3 of " + file +
                              "); did you mean latent.size?"),
                    HasSubstr("unknown option modle.hidden (line 5 of " + file +
                              "); did you mean model.hidden?")));
}

TEST(LoadConfig, a_bad_value_is_named_with_where_it_came_from) {
  const auto file = ini_file("bad.ini", "[latent]\nsize = many\n");
  EXPECT_THAT(
      complaint({"--config", file}),
      AllOf(HasSubstr("latent.size = many (line 2 of " + file + ")"), HasSubstr("a whole number")));
  EXPECT_THAT(
      complaint({}, {{"GONDOLA_LATENT_SIZE", "0"}}),
      HasSubstr("latent.size = 0 (GONDOLA_LATENT_SIZE in the environment) is out of range"));
  EXPECT_THAT(complaint({"--model.decoder", "cnov"}),
              AllOf(HasSubstr("on the command line"), HasSubstr("one of siren, conv"),
                    HasSubstr("did you mean conv?")));
  EXPECT_THAT(complaint({"--optimizer.learning_rate", "nan"}), HasSubstr("out of range"));
}

TEST(LoadConfig, a_variable_of_a_section_or_a_slip_away_from_an_option_must_be_known) {
  EXPECT_THAT(
      complaint({}, {{"GONDOLA_TRAINER_STEP", "3"}}),
      AllOf(HasSubstr("GONDOLA_TRAINER_STEP"), HasSubstr("did you mean GONDOLA_TRAINER_STEPS?")));
  EXPECT_THAT(complaint({}, {{"GONDOLA_TRAINR_STEPS", "3"}}), HasSubstr("GONDOLA_TRAINER_STEPS?"));
  EXPECT_EQ(complaint({}, {{"GONDOLA_SHARED", "../shared"}, {"GONDOLA_CUDA", "ON"}, {"HOME", "/"}}),
            "");
}

TEST(LoadConfig, an_empty_variable_counts_as_none) {
  EXPECT_EQ(loaded({}, {{"GONDOLA_LATENT_SIZE", ""}}).latent.size, 32);
}

TEST(LoadConfig, the_same_option_twice_with_different_values_is_a_contradiction) {
  EXPECT_THAT(complaint({"--latent.size", "3", "--latent.size", "4"}),
              HasSubstr("latent.size is given twice, as 3 (on the command line) and as 4"));
  EXPECT_EQ(complaint({"--latent.size", "3", "--latent.size", "3"}), "");
  const auto file = ini_file("twice.ini", "[latent]\nsize = 3\nsize = 4\n");
  EXPECT_THAT(complaint({"--config", file}),
              AllOf(HasSubstr("(line 2 of"), HasSubstr("(line 3 of")));
}

TEST(LoadConfig, all_problems_of_all_sources_are_told_at_once) {
  const auto file = ini_file("many.ini", "[latent]\nsize = 0\nnonsense\n");
  const auto text =
      complaint({"--config", file, "--zebra", "--model.spatial", "3", "--trainer.batch_size", "x"},
                {{"GONDOLA_DATA_PATHS", "a"}}, Check::kWholeRun);
  EXPECT_THAT(text,
              AllOf(HasSubstr("8 problems"), HasSubstr("\n  unknown option --zebra"),
                    HasSubstr("\n  unknown option --model.spatial"), HasSubstr("\n  line 3 of "),
                    HasSubstr("\n  unknown option GONDOLA_DATA_PATHS"),
                    HasSubstr("\n  latent.size = 0"), HasSubstr("\n  trainer.batch_size = x"),
                    HasSubstr("\n  data.path is not set"), HasSubstr("\n  neither trainer.steps")));
}

TEST(LoadConfig, a_contradiction_that_a_bad_value_explains_is_not_told_too) {
  const auto text = complaint({"--data.path", "x", "--trainer.steps", "ten"}, {}, Check::kWholeRun);
  EXPECT_THAT(text, AllOf(HasSubstr("trainer.steps = ten"), Not(HasSubstr("neither"))));
}

TEST(LoadConfig, single_values_are_checked_without_asking_for_a_whole_run) {
  EXPECT_EQ(complaint({}), "");
  EXPECT_THAT(complaint({}, {}, Check::kWholeRun), HasSubstr("data.path is not set"));
}

TEST(Ini, a_config_comes_back_from_its_text_to_the_last_bit) {
  auto config = default_config();
  config.run.folder = " runs/# 1 ";
  config.run.seed = 18446744073709551615ull;
  config.data.path = "a.h5,\"b.h5\"";
  config.model.decoder = DecoderKind::kConv;
  config.model.activation = ActivationKind::kSin;
  config.latent.step_size = 1.0 / 3.0;
  config.latent.detach = true;
  config.latent.update = LatentUpdate::kDescent;
  config.optimizer.learning_rate = 0.1 + 0.2;
  config.parallel.threads = 3;
  const auto text = to_ini(config);
  const auto copy = from_ini(text, "config.ini");
  EXPECT_EQ(to_ini(copy), text);
  EXPECT_EQ(copy.run.folder, config.run.folder);
  EXPECT_EQ(copy.run.seed, config.run.seed);
  EXPECT_EQ(copy.data.path, config.data.path);
  EXPECT_EQ(copy.model.activation, ActivationKind::kSin);
  EXPECT_EQ(copy.latent.step_size, 1.0 / 3.0);
  EXPECT_TRUE(copy.latent.detach);
  EXPECT_EQ(copy.latent.update, LatentUpdate::kDescent);
  EXPECT_EQ(copy.optimizer.learning_rate, 0.1 + 0.2);
  EXPECT_EQ(copy.parallel.threads, 3);
}

TEST(Ini, a_damaged_text_is_refused_by_line) {
  EXPECT_THROW((void)from_ini("[latent]\nsize = 3\ngarbage\n", "config.ini"), ConfigError);
  EXPECT_THROW((void)from_ini("[latent]\nsize = 0\n", "config.ini"), ConfigError);
}

TEST(CurrentEnvironment, holds_this_process_s_variables) {
  ::setenv("GONDOLA_TEST_VARIABLE", "a=b", 1);
  EXPECT_EQ(current_environment().at("GONDOLA_TEST_VARIABLE"), "a=b");
}

}  // namespace
}  // namespace gondola
