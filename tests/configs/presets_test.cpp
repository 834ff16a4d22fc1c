#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/preset_file.hpp"
#include "configs/validate_config.hpp"

namespace gondola {
namespace {

const std::string kFolder = GONDOLA_SOURCE_DIR "/configs/presets";

RunConfig preset(const std::string& name) {
  return load_config(std::vector<std::string>{"--config", name}, {}, Check::kWholeRun).config;
}

TEST(Presets, each_one_is_a_valid_run_of_images_its_decoder_can_make) {
  const auto names = preset_names(kFolder);
  EXPECT_GE(names.size(), 23u);
  for (const auto& name : names) {
    SCOPED_TRACE(name);
    const auto config = preset(name);
    EXPECT_NO_THROW(check_world(config, 4));
    EXPECT_EQ(config.optimizer.learning_rate, 1e-4);
    EXPECT_EQ(config.trainer.batch_size, 64);
    EXPECT_EQ(config.latent.update,
              config.latent.steps > 1 ? LatentUpdate::kDescent : LatentUpdate::kGradient);
    EXPECT_THAT(config.data.path, testing::MatchesRegex("datasets/[a-z0-9-]*[*]?\\.h5"));
  }
}

TEST(Presets, each_one_starts_with_what_it_is_and_where_its_data_comes_from) {
  for (const auto& name : preset_names(kFolder)) {
    std::ifstream file(kFolder + "/" + name + ".ini");
    std::string head, line;
    while (std::getline(file, line) && line.starts_with("#")) head += line + "\n";
    EXPECT_THAT(head, testing::HasSubstr("Data: ")) << name;
    EXPECT_THAT(head, testing::ContainsRegex("Figure|Table")) << name;
  }
}

TEST(Presets, the_runs_of_the_paper_are_all_there) {
  for (const std::string kind : {"conv_", "implicit_"}) {
    for (const char* data : {"mnist", "fashion", "cifar10", "coil20", "small_norb"}) {
      const auto config = preset(kind + data);
      EXPECT_EQ(config.trainer.epochs, 500);
      EXPECT_EQ(config.latent.size, 32);
      EXPECT_EQ(config.model.decoder, kind == "conv_" ? DecoderKind::kConv : DecoderKind::kSiren);
      EXPECT_EQ(config.model.activation,
                kind == "conv_" ? ActivationKind::kElu : ActivationKind::kSin);
    }
  }
  EXPECT_NO_THROW(check_image_size(preset("conv_celeba64"), 3, 64, 64));
  EXPECT_NO_THROW(check_image_size(preset("conv_lsun128"), 3, 128, 128));
}

TEST(Presets, the_small_budget_runs_have_the_reference_s_hyper_parameters) {
  struct Curve {
    std::string name;
    std::int64_t steps, width;
    double step_size;  // 0: auto
    std::int64_t inner_steps;
    bool detach;
  };
  for (const auto& curve :
       std::vector<Curve>{{"conv_gon_fashion", 1000, 16, 0, 1, false},
                          {"conv_gon_mnist", 1000, 16, 0, 1, false},
                          {"conv_gon_cifar10", 1000, 16, 0, 1, false},
                          {"conv_gon_fashion_5k", 5000, 16, 0, 1, false},
                          {"conv_detach1_fashion", 1000, 16, 0, 1, true},
                          {"conv_detach10_fashion", 1000, 16, 0.1 / (64 * 1024), 10, true},
                          {"implicit_fashion_h256", 600, 256, 0, 1, false},
                          {"implicit_mnist_h32", 600, 32, 0, 1, false},
                          {"implicit_cifar10_h128", 300, 128, 0, 1, false}}) {
    SCOPED_TRACE(curve.name);
    const auto config = preset("curves/" + curve.name);
    const bool conv = curve.name.starts_with("conv");
    EXPECT_EQ(config.trainer.steps, curve.steps);
    EXPECT_EQ(conv ? config.model.filters : config.model.hidden, curve.width);
    EXPECT_EQ(config.model.decoder, conv ? DecoderKind::kConv : DecoderKind::kSiren);
    EXPECT_DOUBLE_EQ(config.latent.step_size, curve.step_size);
    EXPECT_EQ(config.latent.steps, curve.inner_steps);
    EXPECT_EQ(config.latent.detach, curve.detach);
    EXPECT_EQ(config.model.layers, 4);
    EXPECT_EQ(config.trainer.precision, Precision::kFloat32);
    EXPECT_EQ(config.evaluation.statistics, EvaluationStatistics::kBatch);
    EXPECT_EQ(config.evaluation.images, 1000);
    EXPECT_EQ(config.evaluation.group_images, 100);
  }
}

TEST(Presets, a_name_is_looked_up_as_a_file_then_in_the_given_folder_then_in_the_shipped_one) {
  const auto own = testing::TempDir() + "/own_presets";
  std::filesystem::create_directories(own);
  std::ofstream(own + "/quickstart.ini") << "[latent]\nsize = 5\n";
  const std::vector<std::string> args = {"--config", "quickstart"};
  EXPECT_EQ(load_config(args, {{"GONDOLA_PRESETS", own}}).config.latent.size, 5);
  EXPECT_EQ(load_config(args, {}).config.latent.size, 32);
  const std::vector<std::string> other = {"--config", "conv_mnist"};
  EXPECT_EQ(load_config(other, {{"GONDOLA_PRESETS", own}}).config.trainer.epochs, 500);
  const std::vector<std::string> file = {"--config", own + "/quickstart.ini"};
  EXPECT_EQ(load_config(file, {}).config.latent.size, 5);
  EXPECT_EQ(load_config(file, {}).preset, "quickstart");
}

TEST(Presets, a_config_that_is_not_there_is_a_missing_input_with_the_nearest_name) {
  try {
    (void)load_config(std::vector<std::string>{"--config", "quikstart"}, {});
    FAIL() << "the missing preset was accepted";
  } catch (const MissingInputError& error) {
    EXPECT_EQ(error.code(), ExitCode::kMissingInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("quikstart"));
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean quickstart?"));
  }
}

TEST(Presets, a_folder_is_not_a_config_file) {
  EXPECT_THROW((void)load_config(std::vector<std::string>{"--config", testing::TempDir()}, {}),
               MissingInputError);
}

}  // namespace
}  // namespace gondola
