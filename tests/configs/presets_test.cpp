#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_table.hpp"
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
    // The one that is not of the paper has few, large images.
    EXPECT_EQ(config.trainer.batch_size, name == "large_images" ? 8 : 64);
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

TEST(Presets, the_small_budget_runs_are_those_of_the_reference_curves) {
  const char* shared = std::getenv("GONDOLA_SHARED");
  const auto path = std::string(shared == nullptr ? "" : shared) + "/golden/curves.json";
  if (shared == nullptr || !std::filesystem::exists(path)) {
    GTEST_SKIP() << "the reference curves are not here: GONDOLA_SHARED names no folder with "
                    "golden/curves.json";
  }
  const auto reference = nlohmann::json::parse(std::ifstream(path));
  EXPECT_THAT(reference.at("about").at("optimiser"),
              testing::StartsWith("Adam lr 1e-4, betas .9 .999, eps 1e-8, batch 64, float32"));
  for (const auto& name : preset_names(kFolder + "/curves")) {
    SCOPED_TRACE(name);
    const auto config = preset("curves/" + name);
    const auto& curve = reference.at("curves").at(name).at("config");
    const std::map<std::string, std::string> families = {{"gon", "gon"},
                                                         {"implicit", "gon"},
                                                         {"ae", "autoencoder"},
                                                         {"tied_ae", "tied_autoencoder"}};
    const std::string method = curve.at("method");
    EXPECT_EQ(value_of(config, "model.family"),
              families.contains(method) ? families.at(method) : method);
    const bool conv = curve.contains("ngf");
    EXPECT_EQ(config.model.decoder, conv ? DecoderKind::kConv : DecoderKind::kSiren);
    EXPECT_EQ(value_of(config, "model.activation"), curve.at("activation"));
    EXPECT_EQ(config.latent.size, curve.at("latent"));
    EXPECT_EQ(config.latent.steps, curve.value("steps", 1));
    EXPECT_EQ(config.latent.detach, curve.value("detach", false));
    EXPECT_EQ(config.latent.origin_stddev, 0);
    if (conv) {
      EXPECT_EQ(config.model.filters, curve.at("ngf"));
      EXPECT_EQ(config.model.batch_norm, BatchNormMode::kSync);
    } else {
      EXPECT_EQ(config.model.hidden, curve.at("hidden"));
      EXPECT_EQ(config.model.layers, curve.at("hidden_layers"));
      EXPECT_EQ(config.model.w0, curve.at("w0"));
    }
    const std::int64_t size = curve.at("size"), channels = curve.at("channels");
    EXPECT_NO_THROW(check_image_size(config, channels, size, size));
    const bool variational = method == "vgon";
    const auto summed = static_cast<double>(variational ? 1 : conv ? size * size : channels);
    const double published = 1.0 / (static_cast<double>(config.trainer.batch_size) * summed);
    const double step_size = config.latent.step_size == 0 ? published : config.latent.step_size;
    EXPECT_DOUBLE_EQ(step_size, curve.value("inner_lr", 1.0) * curve.at("step_size").get<double>());

    EXPECT_EQ(config.trainer.steps, curve.at("steps_total"));
    EXPECT_EQ(config.trainer.batch_size, curve.at("batch"));
    EXPECT_EQ(config.trainer.accumulate, 1);
    EXPECT_EQ(config.trainer.precision, Precision::kFloat32);
    EXPECT_EQ(config.optimizer.learning_rate, curve.at("lr"));
    EXPECT_EQ(config.optimizer.beta1, 0.9);
    EXPECT_EQ(config.optimizer.beta2, 0.999);
    EXPECT_EQ(config.optimizer.epsilon, 1e-8);
    EXPECT_EQ(config.optimizer.schedule, Schedule::kConstant);
    EXPECT_EQ(config.optimizer.clip_norm, 0);
  }
}

TEST(Presets, the_small_budget_runs_are_evaluated_as_the_reference_curves_are) {
  const auto names = preset_names(kFolder + "/curves");
  EXPECT_EQ(names.size(), 19u);
  for (const auto& name : names) {
    SCOPED_TRACE(name);
    const auto config = preset("curves/" + name);
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
