#include "configs/validate_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_table.hpp"

namespace gondola {
namespace {

using testing::AllOf;
using testing::HasSubstr;

RunConfig valid() {
  auto config = default_config();
  config.data.path = "datasets/x.h5";
  config.trainer.steps = 10;
  return config;
}

RunConfig valid_conv() {
  auto config = valid();
  config.model.decoder = DecoderKind::kConv;
  config.model.activation = ActivationKind::kElu;
  return config;
}

using Options = std::map<std::string, std::string>;

/// What loading a run with these options, put over valid ones, ends with; "": it is accepted.
std::string complaint(const Options& options) {
  Options all = {{"data.path", "datasets/x.h5"}, {"trainer.steps", "10"}};
  for (const auto& [name, value] : options) all[name] = value;
  std::vector<std::string> args;
  for (const auto& [name, value] : all) args.insert(args.end(), {"--" + name, value});
  try {
    (void)load_config(args, {}, Check::kWholeRun);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

Options conv(const Options& more) {
  Options options = {{"model.decoder", "conv"}};
  for (const auto& [name, value] : more) options[name] = value;
  return options;
}

struct BadConfig {
  std::string name;
  Options options;                ///< Put over those of a convolutional run.
  std::vector<std::string> told;  ///< What the one sentence contains.
};

void PrintTo(const BadConfig& bad, std::ostream* out) { *out << bad.name; }

class OneProblem : public testing::TestWithParam<BadConfig> {};

TEST_P(OneProblem, is_told_in_one_sentence_with_the_value_and_the_cure) {
  ASSERT_EQ(complaint(conv({})), "");
  const auto sentence = complaint(conv(GetParam().options));
  for (const auto& part : GetParam().told) EXPECT_THAT(sentence, HasSubstr(part));
  EXPECT_THAT(sentence, testing::Not(HasSubstr("\n")));
}

const std::vector<BadConfig> kBadConfigs = {
    {"latent_size_0", {{"latent.size", "0"}}, {"latent.size = 0", "1 to"}},
    {"latent_size_negative", {{"latent.size", "-4"}}, {"latent.size = -4"}},
    {"inner_steps_0", {{"latent.steps", "0"}}, {"latent.steps = 0", "1 to 25"}},
    {"inner_steps_26", {{"latent.steps", "26"}}, {"latent.steps = 26", "1 to 25"}},
    {"several_steps_that_forget",
     {{"latent.steps", "3"}, {"latent.update", "gradient"}},
     {"latent.update = gradient", "latent.steps = 3", "descent"}},
    {"shared_origin_of_several_steps",
     {{"latent.path", "shared_origin"}, {"latent.steps", "3"}},
     {"latent.path = shared_origin", "latent.steps = 3", "auto"}},
    {"shared_origin_of_random_origins",
     {{"latent.path", "shared_origin"}, {"latent.origin_stddev", "0.1"}},
     {"latent.path = shared_origin", "latent.origin_stddev = 0.1", "auto"}},
    {"shared_origin_without_batch_norm",
     {{"model.decoder", "conv"}, {"model.batch_norm", "none"}, {"latent.path", "shared_origin"}},
     {"latent.path = shared_origin", "model.batch_norm = none", "auto"}},
    {"double_backward_with_batch_norm",
     {{"model.decoder", "conv"}, {"latent.path", "double_backward"}},
     {"latent.path = double_backward", "model.batch_norm = sync", "auto"}},
    {"spatial_3", {{"latent.spatial", "3"}}, {"latent.spatial = 3", "1, 2, 4 or 8"}},
    {"spatial_16", {{"latent.spatial", "16"}}, {"latent.spatial = 16"}},
    {"spatial_siren",
     {{"model.decoder", "siren"}, {"latent.spatial", "4"}},
     {"latent.spatial = 4", "siren", "conv"}},
    {"step_size_negative", {{"latent.step_size", "-1"}}, {"latent.step_size = -1", "auto"}},
    {"origin_stddev", {{"latent.origin_stddev", "-0.1"}}, {"latent.origin_stddev = -0.1"}},
    {"batch_size_0", {{"trainer.batch_size", "0"}}, {"trainer.batch_size = 0"}},
    {"neither_steps_nor_epochs",
     {{"trainer.steps", "0"}},
     {"neither trainer.steps nor trainer.epochs"}},
    {"both_steps_and_epochs",
     {{"trainer.epochs", "2"}},
     {"trainer.steps = 10", "trainer.epochs = 2", "contradict"}},
    {"steps_beyond_counting",
     {{"trainer.steps", "1000000000000001"}},
     {"trainer.steps = 1000000000000001", "0 to 1000000000000000"}},
    {"epochs_beyond_counting",
     {{"trainer.steps", "0"}, {"trainer.epochs", "1000001"}},
     {"trainer.epochs = 1000001", "0 to 1000000"}},
    {"negative_epochs", {{"trainer.epochs", "-1"}}, {"trainer.epochs = -1"}},
    {"accumulation_with_batch_norm",
     {{"trainer.accumulate", "2"}},
     {"trainer.accumulate = 2", "model.batch_norm = sync", "none"}},
    {"more_passes_than_images",
     {{"model.batch_norm", "none"}, {"trainer.accumulate", "65"}},
     {"trainer.accumulate = 65", "trainer.batch_size = 64"}},
    {"a_bound_below_the_usual",
     {{"trainer.outlier_factor", "0.5"}},
     {"trainer.outlier_factor = 0.5", "a multiple of the usual norm"}},
    {"negative_outlier_factor",
     {{"trainer.outlier_factor", "-1"}},
     {"trainer.outlier_factor = -1"}},
    {"a_tile_smaller_than_a_row",
     {{"model.decoder", "siren"}, {"model.activation", "sin"}, {"trainer.tile_bytes", "9215"}},
     {"trainer.tile_bytes = 9215", "9216 bytes", "model.hidden = 256", "model.layers = 4", "auto"}},
    {"a_tile_of_a_decoder_without_tiles",
     {{"trainer.tile_bytes", "1000000"}},
     {"trainer.tile_bytes = 1000000", "model.decoder = siren", "auto"}},
    {"a_graph_on_a_cpu",
     {{"trainer.cuda_graph", "true"}, {"parallel.device", "cpu"}},
     {"trainer.cuda_graph = true", "parallel.device = cpu", "trainer.cuda_graph = false"}},
    {"a_graph_of_latents_that_ranks_exchange",
     {{"trainer.cuda_graph", "true"}, {"model.family", "glo"}},
     {"trainer.cuda_graph = true", "model.family = glo"}},
    {"a_graph_in_double_precision",
     {{"trainer.cuda_graph", "true"}, {"trainer.precision", "float64"}},
     {"trainer.cuda_graph = true", "trainer.precision = float64"}},
    {"a_graph_of_ranks_that_share_images",
     {{"trainer.cuda_graph", "true"},
      {"model.decoder", "siren"},
      {"model.activation", "sin"},
      {"parallel.coordinate_ranks", "2"}},
     {"trainer.cuda_graph = true", "parallel.coordinate_ranks = 2"}},
    {"rollback_without_checkpoints",
     {{"trainer.on_nonfinite", "rollback"}, {"checkpoint.every_steps", "0"}},
     {"trainer.on_nonfinite = rollback", "checkpoint.every_steps = 0"}},
    {"unknown_policy",
     {{"trainer.on_nonfinite", "ignore"}},
     {"trainer.on_nonfinite", "ignore", "skip, rollback"}},
    {"negative_skip_budget", {{"trainer.skip_budget", "-1"}}, {"trainer.skip_budget = -1"}},
    {"ema_1", {{"trainer.ema_decay", "1"}}, {"trainer.ema_decay = 1", "below 1"}},
    {"ema_negative", {{"trainer.ema_decay", "-0.5"}}, {"trainer.ema_decay = -0.5"}},
    {"w0", {{"model.w0", "0"}}, {"model.w0 = 0", "> 0"}},
    {"hidden", {{"model.hidden", "0"}}, {"model.hidden = 0"}},
    {"layers", {{"model.layers", "0"}}, {"model.layers = 0"}},
    {"filters", {{"model.filters", "-16"}}, {"model.filters = -16"}},
    {"slope", {{"model.leaky_slope", "2"}}, {"model.leaky_slope = 2"}},
    {"learning_rate_0", {{"optimizer.learning_rate", "0"}}, {"optimizer.learning_rate = 0", "> 0"}},
    {"beta1", {{"optimizer.beta1", "1"}}, {"optimizer.beta1 = 1"}},
    {"beta2", {{"optimizer.beta2", "1.5"}}, {"optimizer.beta2 = 1.5"}},
    {"epsilon", {{"optimizer.epsilon", "0"}}, {"optimizer.epsilon = 0"}},
    {"warmup_negative", {{"optimizer.warmup_steps", "-1"}}, {"optimizer.warmup_steps = -1"}},
    {"cosine_without_steps",
     {{"optimizer.schedule", "cosine"}, {"optimizer.warmup_steps", "10"}},
     {"optimizer.warmup_steps = 10", "10 steps"}},
    {"final_fraction_of_a_constant",
     {{"optimizer.final_fraction", "0.1"}},
     {"optimizer.final_fraction = 0.1", "cosine"}},
    {"final_fraction_2",
     {{"optimizer.schedule", "cosine"}, {"optimizer.final_fraction", "2"}},
     {"optimizer.final_fraction = 2"}},
    {"clip_norm", {{"optimizer.clip_norm", "-1"}}, {"optimizer.clip_norm = -1"}},
    {"timeout", {{"parallel.timeout_seconds", "0"}}, {"parallel.timeout_seconds = 0", "> 0"}},
    {"check_every", {{"parallel.check_every", "-1"}}, {"parallel.check_every = -1"}},
    {"threads", {{"parallel.threads", "-2"}}, {"parallel.threads = -2", "auto"}},
    {"expect_world", {{"parallel.expect_world", "-1"}}, {"parallel.expect_world = -1"}},
    {"device_cache_without_device",
     {{"data.cache", "device"}, {"parallel.device", "cpu"}},
     {"data.cache = device", "host"}},
    {"no_data", {{"data.path", ""}}, {"data.path", "synthetic:"}},
    {"block_images", {{"data.block_images", "0"}}, {"data.block_images = 0"}},
    {"reader_threads", {{"data.reader_threads", "-1"}}, {"data.reader_threads = -1"}},
    {"prefetch", {{"data.prefetch_batches", "0"}}, {"data.prefetch_batches = 0"}},
    {"keep", {{"checkpoint.keep", "0"}}, {"checkpoint.keep = 0"}},
    {"checkpoint_every", {{"checkpoint.every_steps", "-5"}}, {"checkpoint.every_steps = -5"}},
    {"evaluation_images", {{"evaluation.images", "-1"}}, {"evaluation.images = -1"}},
    {"group_images", {{"evaluation.group_images", "0"}}, {"evaluation.group_images = 0"}},
    {"log_every", {{"monitoring.log_every", "0"}}, {"monitoring.log_every = 0", ">= 1"}},
    {"port", {{"monitoring.port", "65536"}}, {"monitoring.port = 65536", "65535"}},
    {"bind", {{"monitoring.bind", ""}}, {"monitoring.bind", "off"}},
    {"repeats", {{"bench.repeats", "0"}}, {"bench.repeats = 0"}},
};

INSTANTIATE_TEST_SUITE_P(WholeRun, OneProblem, testing::ValuesIn(kBadConfigs),
                         [](const auto& test) { return test.param.name; });

TEST(WholeRun, accepts_what_the_families_can_do) {
  for (const char* side : {"1", "2", "4", "8"}) {
    EXPECT_EQ(complaint(conv({{"latent.spatial", side}})), "");
  }
  EXPECT_EQ(complaint({{"model.decoder", "siren"}, {"trainer.accumulate", "4"}}), "")
      << "siren has no batch norm";
  EXPECT_EQ(complaint({{"optimizer.schedule", "cosine"},
                       {"optimizer.warmup_steps", "9"},
                       {"optimizer.final_fraction", "0.1"}}),
            "");
}

TEST(CheckImageSize, a_conv_decoder_makes_these_squares_only) {
  const auto config = valid_conv();
  for (const std::int64_t side : {16, 28, 32, 64, 128, 256}) {
    EXPECT_NO_THROW(check_image_size(config, 3, side, side));
  }
  for (const std::int64_t side : {1, 8, 24, 27, 30, 48, 96, 512}) {
    EXPECT_THROW(check_image_size(config, 1, side, side), ConfigError) << side;
  }
  EXPECT_THROW(check_image_size(config, 1, 32, 64), ConfigError);
  try {
    check_image_size(config, 1, 30, 30);
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("1x30x30"), HasSubstr("--size 32"), HasSubstr("siren")));
  }
}

TEST(CheckImageSize, a_latent_map_of_8_does_not_grow_to_28) {
  auto config = valid_conv();
  config.latent.spatial = 8;
  EXPECT_THROW(check_image_size(config, 1, 28, 28), ConfigError);
  EXPECT_NO_THROW(check_image_size(config, 1, 32, 32));
  config.latent.spatial = 4;
  EXPECT_NO_THROW(check_image_size(config, 1, 28, 28));
}

TEST(CheckImageSize, an_implicit_decoder_makes_any) {
  EXPECT_NO_THROW(check_image_size(valid(), 3, 20, 31));
  EXPECT_THROW(check_image_size(valid(), 3, 0, 31), ConfigError);
}

TEST(CheckWorld, the_batch_must_have_an_image_for_every_rank) {
  auto config = valid();
  config.trainer.batch_size = 3;
  EXPECT_NO_THROW(check_world(config, 3));
  try {
    check_world(config, 4);
    FAIL() << "4 ranks shared 3 images";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("trainer.batch_size = 3"), HasSubstr("4 ranks")));
  }
}

TEST(CheckWorld, an_expected_number_of_ranks_is_demanded) {
  auto config = valid();
  config.parallel.expect_world = 4;
  EXPECT_NO_THROW(check_world(config, 4));
  try {
    check_world(config, 1);
    FAIL() << "1 rank passed for 4";
  } catch (const WorldError& error) {
    EXPECT_EQ(error.code(), ExitCode::kWrongWorld);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("1 rank "), HasSubstr("parallel.expect_world = 4"),
                                    HasSubstr("mpirun -n 4")));
  }
}

}  // namespace
}  // namespace gondola
