#include "configs/validate_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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

struct BadConfig {
  std::string name;
  std::function<void(RunConfig&)> spoil;
  std::vector<std::string> told;  ///< What the one sentence contains.
};

void PrintTo(const BadConfig& bad, std::ostream* out) { *out << bad.name; }

class OneProblem : public testing::TestWithParam<BadConfig> {};

TEST_P(OneProblem, is_told_in_one_sentence_with_the_value_and_the_cure) {
  auto config = valid_conv();
  ASSERT_THAT(problems_of(config), testing::IsEmpty());
  GetParam().spoil(config);
  const auto problems = problems_of(config);
  ASSERT_EQ(problems.size(), 1u) << testing::PrintToString(problems);
  for (const auto& part : GetParam().told) EXPECT_THAT(problems[0], HasSubstr(part));
  EXPECT_THAT(problems[0], testing::Not(HasSubstr("\n")));
  EXPECT_THROW(validate(config), ConfigError);
}

const std::vector<BadConfig> kBadConfigs = {
    {"latent_size_0", [](RunConfig& c) { c.latent.size = 0; }, {"latent.size = 0", "1 to"}},
    {"latent_size_negative", [](RunConfig& c) { c.latent.size = -4; }, {"latent.size = -4"}},
    {"inner_steps_0", [](RunConfig& c) { c.latent.steps = 0; }, {"latent.steps = 0", "1 to 25"}},
    {"inner_steps_26",
     [](RunConfig& c) {
       c.latent.steps = 26;
       c.latent.update = LatentUpdate::kDescent;
     },
     {"latent.steps = 26", "1 to 25"}},
    {"several_steps_that_forget",
     [](RunConfig& c) { c.latent.steps = 3; },
     {"latent.update = gradient", "latent.steps = 3", "descent"}},
    {"spatial_3",
     [](RunConfig& c) { c.latent.spatial = 3; },
     {"latent.spatial = 3", "1, 2, 4 or 8"}},
    {"spatial_16", [](RunConfig& c) { c.latent.spatial = 16; }, {"latent.spatial = 16"}},
    {"spatial_siren",
     [](RunConfig& c) {
       c.model.decoder = DecoderKind::kSiren;
       c.latent.spatial = 4;
     },
     {"latent.spatial = 4", "siren", "conv"}},
    {"step_size_negative",
     [](RunConfig& c) { c.latent.step_size = -1; },
     {"latent.step_size = -1", "auto"}},
    {"origin_stddev",
     [](RunConfig& c) { c.latent.origin_stddev = -0.1; },
     {"latent.origin_stddev = -0.1"}},
    {"batch_size_0", [](RunConfig& c) { c.trainer.batch_size = 0; }, {"trainer.batch_size = 0"}},
    {"neither_steps_nor_epochs",
     [](RunConfig& c) { c.trainer.steps = 0; },
     {"neither trainer.steps nor trainer.epochs"}},
    {"both_steps_and_epochs",
     [](RunConfig& c) { c.trainer.epochs = 2; },
     {"trainer.steps = 10", "trainer.epochs = 2", "contradict"}},
    {"negative_epochs", [](RunConfig& c) { c.trainer.epochs = -1; }, {"trainer.epochs = -1"}},
    {"accumulation_with_batch_norm",
     [](RunConfig& c) { c.trainer.accumulate = 2; },
     {"trainer.accumulate = 2", "model.batch_norm = sync", "none"}},
    {"more_passes_than_images",
     [](RunConfig& c) {
       c.model.batch_norm = BatchNormMode::kNone;
       c.trainer.accumulate = 65;
     },
     {"trainer.accumulate = 65", "trainer.batch_size = 64"}},
    {"ema_1", [](RunConfig& c) { c.trainer.ema_decay = 1; }, {"trainer.ema_decay = 1", "below 1"}},
    {"ema_negative",
     [](RunConfig& c) { c.trainer.ema_decay = -0.5; },
     {"trainer.ema_decay = -0.5"}},
    {"w0", [](RunConfig& c) { c.model.w0 = 0; }, {"model.w0 = 0", "> 0"}},
    {"hidden", [](RunConfig& c) { c.model.hidden = 0; }, {"model.hidden = 0"}},
    {"layers", [](RunConfig& c) { c.model.layers = 0; }, {"model.layers = 0"}},
    {"filters", [](RunConfig& c) { c.model.filters = -16; }, {"model.filters = -16"}},
    {"slope", [](RunConfig& c) { c.model.leaky_slope = 2; }, {"model.leaky_slope = 2"}},
    {"learning_rate_0",
     [](RunConfig& c) { c.optimizer.learning_rate = 0; },
     {"optimizer.learning_rate = 0", "> 0"}},
    {"beta1", [](RunConfig& c) { c.optimizer.beta1 = 1; }, {"optimizer.beta1 = 1"}},
    {"beta2", [](RunConfig& c) { c.optimizer.beta2 = 1.5; }, {"optimizer.beta2 = 1.5"}},
    {"epsilon", [](RunConfig& c) { c.optimizer.epsilon = 0; }, {"optimizer.epsilon = 0"}},
    {"warmup_negative",
     [](RunConfig& c) { c.optimizer.warmup_steps = -1; },
     {"optimizer.warmup_steps = -1"}},
    {"cosine_without_steps",
     [](RunConfig& c) {
       c.optimizer.schedule = Schedule::kCosine;
       c.optimizer.warmup_steps = 10;
     },
     {"optimizer.warmup_steps = 10", "10 steps"}},
    {"final_fraction_of_a_constant",
     [](RunConfig& c) { c.optimizer.final_fraction = 0.1; },
     {"optimizer.final_fraction = 0.1", "cosine"}},
    {"final_fraction_2",
     [](RunConfig& c) {
       c.optimizer.schedule = Schedule::kCosine;
       c.optimizer.final_fraction = 2;
     },
     {"optimizer.final_fraction = 2"}},
    {"clip_norm", [](RunConfig& c) { c.optimizer.clip_norm = -1; }, {"optimizer.clip_norm = -1"}},
    {"timeout",
     [](RunConfig& c) { c.parallel.timeout_seconds = 0; },
     {"parallel.timeout_seconds = 0", "> 0"}},
    {"check_every",
     [](RunConfig& c) { c.parallel.check_every = -1; },
     {"parallel.check_every = -1"}},
    {"threads", [](RunConfig& c) { c.parallel.threads = -2; }, {"parallel.threads = -2", "auto"}},
    {"expect_world",
     [](RunConfig& c) { c.parallel.expect_world = -1; },
     {"parallel.expect_world = -1"}},
    {"device_cache_without_device",
     [](RunConfig& c) {
       c.data.cache = CacheKind::kDevice;
       c.parallel.device = DeviceKind::kCpu;
     },
     {"data.cache = device", "host"}},
    {"no_data", [](RunConfig& c) { c.data.path = ""; }, {"data.path", "synthetic:"}},
    {"block_images", [](RunConfig& c) { c.data.block_images = 0; }, {"data.block_images = 0"}},
    {"reader_threads",
     [](RunConfig& c) { c.data.reader_threads = 0; },
     {"data.reader_threads = 0"}},
    {"prefetch", [](RunConfig& c) { c.data.prefetch_batches = 0; }, {"data.prefetch_batches = 0"}},
    {"keep", [](RunConfig& c) { c.checkpoint.keep = 0; }, {"checkpoint.keep = 0"}},
    {"checkpoint_every",
     [](RunConfig& c) { c.checkpoint.every_steps = -5; },
     {"checkpoint.every_steps = -5"}},
    {"evaluation_images",
     [](RunConfig& c) { c.evaluation.images = -1; },
     {"evaluation.images = -1"}},
    {"group_images",
     [](RunConfig& c) { c.evaluation.group_images = 0; },
     {"evaluation.group_images = 0"}},
    {"log_every",
     [](RunConfig& c) { c.monitoring.log_every = 0; },
     {"monitoring.log_every = 0", ">= 1"}},
    {"port", [](RunConfig& c) { c.monitoring.port = 65536; }, {"monitoring.port = 65536", "65535"}},
    {"bind", [](RunConfig& c) { c.monitoring.bind = ""; }, {"monitoring.bind", "off"}},
    {"repeats", [](RunConfig& c) { c.bench.repeats = 0; }, {"bench.repeats = 0"}},
};

INSTANTIATE_TEST_SUITE_P(Validate, OneProblem, testing::ValuesIn(kBadConfigs),
                         [](const auto& test) { return test.param.name; });

TEST(Validate, accepts_what_the_families_can_do) {
  auto spatial = valid_conv();
  for (const std::int64_t side : {1, 2, 4, 8}) {
    spatial.latent.spatial = side;
    EXPECT_NO_THROW(validate(spatial));
  }
  auto accumulating = valid();
  accumulating.trainer.accumulate = 4;  // siren has no batch norm
  EXPECT_NO_THROW(validate(accumulating));
  auto cosine = valid();
  cosine.optimizer.schedule = Schedule::kCosine;
  cosine.optimizer.warmup_steps = 9;
  cosine.optimizer.final_fraction = 0.1;
  EXPECT_NO_THROW(validate(cosine));
}

TEST(Validate, tells_every_problem_at_once_each_on_its_line) {
  auto config = valid();
  config.latent.size = 0;
  config.trainer.batch_size = -1;
  config.data.path = "";
  try {
    validate(config);
    FAIL() << "a config with three problems was accepted";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadConfig);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("\n  latent.size = 0"), HasSubstr("\n  trainer.batch_size = -1"),
                      HasSubstr("\n  data.path")));
  }
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
