#include "configs/option_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace gondola {
namespace {

TEST(OptionTable, names_that_scripts_rely_on_are_there) {
  for (const char* name : {"run.folder",
                           "run.seed",
                           "run.resume",
                           "data.path",
                           "data.shuffle",
                           "data.cache",
                           "data.ledger",
                           "model.family",
                           "model.decoder",
                           "model.hidden",
                           "model.layers",
                           "model.activation",
                           "model.filters",
                           "model.batch_norm",
                           "latent.size",
                           "latent.steps",
                           "latent.step_size",
                           "latent.detach",
                           "trainer.batch_size",
                           "trainer.steps",
                           "trainer.epochs",
                           "trainer.precision",
                           "optimizer.learning_rate",
                           "parallel.device",
                           "parallel.threads",
                           "parallel.expect_world",
                           "parallel.timeout_seconds",
                           "checkpoint.every_steps",
                           "checkpoint.keep",
                           "checkpoint.init",
                           "evaluation.every_steps",
                           "monitoring.log_every",
                           "monitoring.bind",
                           "bench.threads"}) {
    EXPECT_NE(find_option(name), nullptr) << name;
  }
  EXPECT_EQ(find_option("latent.sizes"), nullptr);
}

TEST(OptionTable, names_are_unique_also_in_the_environment) {
  std::set<std::string> names, variables;
  for (const auto& option : option_table()) {
    EXPECT_TRUE(names.insert(option.name()).second) << option.name();
    EXPECT_TRUE(variables.insert(option.environment_name()).second) << option.environment_name();
  }
  EXPECT_TRUE(variables.contains("GONDOLA_TRAINER_BATCH_SIZE"));
}

TEST(OptionTable, each_option_changes_its_own_member_only) {
  for (const auto& changed : option_table()) {
    auto config = default_config();
    std::string value = "7";
    if (changed.type == OptionType::kFlag)
      value = changed.default_text == "true" ? "false" : "true";
    if (changed.type == OptionType::kChoice) value = changed.choices.back();
    if (changed.type == OptionType::kCoordinates) value = "sobol:7";
    if (changed.number && changed.range.high <= 1) value = "0.25";
    ASSERT_TRUE(changed.set(config, value)) << changed.name();
    EXPECT_EQ(changed.get(config), value) << changed.name();
    EXPECT_EQ(changed.range_problem(config), "");
    for (const auto& other : option_table()) {
      if (other.name() == changed.name()) continue;
      EXPECT_EQ(other.get(config), other.get(default_config()))
          << changed.name() << " changed " << other.name();
    }
  }
}

TEST(OptionTable, every_default_lies_in_its_range) {
  for (const auto& option : option_table()) EXPECT_EQ(option.range_problem(default_config()), "");
}

TEST(OptionTable, numbers_keep_their_last_bit_through_text) {
  const auto& option = *find_option("optimizer.learning_rate");
  for (const double value :
       {0.1, 1e-4, 1.0 / 3.0, 1.52587890625e-06, std::nextafter(1e-4, 1.0), 5e-324, 1e300}) {
    RunConfig config, copy;
    config.optimizer.learning_rate = value;
    ASSERT_TRUE(option.set(copy, option.get(config)));
    EXPECT_EQ(copy.optimizer.learning_rate, value);
  }
  RunConfig config;
  ASSERT_TRUE(find_option("run.seed")->set(config, "18446744073709551615"));
  EXPECT_EQ(config.run.seed, 18446744073709551615ull);
}

TEST(OptionTable, text_that_is_not_of_the_type_is_refused_and_changes_nothing) {
  RunConfig config;
  for (const char* text : {"", "abc", "1.5", "1e3", "8x", " 8", "99999999999999999999"}) {
    EXPECT_FALSE(find_option("latent.size")->set(config, text)) << text;
  }
  for (const char* text : {"", "fast", "1e-4x", "1,5"}) {
    EXPECT_FALSE(find_option("optimizer.learning_rate")->set(config, text)) << text;
  }
  EXPECT_FALSE(find_option("latent.detach")->set(config, "maybe"));
  EXPECT_FALSE(find_option("model.decoder")->set(config, "cnov"));
  EXPECT_FALSE(find_option("run.seed")->set(config, "-1"));
  EXPECT_FALSE(find_option("run.folder")->set(config, "two\nlines"));
  EXPECT_EQ(config.latent.size, 32);
  EXPECT_EQ(config.optimizer.learning_rate, 1e-4);
}

TEST(OptionTable, infinity_and_nan_are_out_of_every_range) {
  for (const char* text : {"inf", "nan", "-inf"}) {
    RunConfig config;
    ASSERT_TRUE(find_option("optimizer.clip_norm")->set(config, text));
    EXPECT_NE(find_option("optimizer.clip_norm")->range_problem(config), "") << text;
  }
}

TEST(OptionTable, auto_stands_for_zero_where_the_table_says_so) {
  RunConfig config;
  config.latent.step_size = 0.5;
  config.parallel.threads = 3;
  ASSERT_TRUE(find_option("latent.step_size")->set(config, "auto"));
  ASSERT_TRUE(find_option("parallel.threads")->set(config, "auto"));
  EXPECT_EQ(config.latent.step_size, 0.0);
  EXPECT_EQ(config.parallel.threads, 0);
  EXPECT_EQ(value_of(config, "latent.step_size"), "auto");
  EXPECT_FALSE(find_option("latent.size")->set(config, "auto"));
}

TEST(OptionTable, an_open_end_of_a_range_excludes_the_bound) {
  const Range range{.low = 0, .high = 1, .low_open = false, .high_open = true};
  EXPECT_TRUE(range.contains(0));
  EXPECT_FALSE(range.contains(1));
  EXPECT_EQ(range.in_words(), "0 to below 1");
  const Range positive{.low = 0, .low_open = true};
  EXPECT_FALSE(positive.contains(0));
  EXPECT_EQ(positive.in_words(), "> 0");
}

}  // namespace
}  // namespace gondola
