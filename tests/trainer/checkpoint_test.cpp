#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "tests/trainer/checkpoint_fixture.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"

namespace gondola {
namespace {

using testing::HasSubstr;

TEST_F(CheckpointTest, everything_comes_back_bit_by_bit) {
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    for (const auto precision : {Precision::kFloat32, Precision::kFloat64}) {
      for (const double decay : {0.0, 0.9}) {
        auto of = config_of(kind, precision);
        of.trainer.ema_decay = decay;
        Trained saved(of, 12);
        const auto path = write_checkpoint(folder, view_of(saved.state(), {}),
                                           {.config_ini = "a = 1\nb = \"\n", .world = 4});
        EXPECT_EQ(path, folder / "step-00000012");
        verify_checkpoint(path);
        Trained loaded(of, 99);
        auto state = loaded.state();
        read_checkpoint(path, state);
        expect_same_bits(loaded, saved);
        EXPECT_EQ(read_origin(path).config_ini, "a = 1\nb = \"\n");
        EXPECT_EQ(read_origin(path).world, 4);
        EXPECT_EQ(read_image_shape(path), (std::vector<std::int64_t>{1, 16, 16}));
      }
    }
  }
}

TEST_F(CheckpointTest, the_same_state_makes_the_same_bytes) {
  const auto once = read_file(write(7, root / "a") / "state.h5");
  EXPECT_GT(once.size(), 10000U);
  EXPECT_EQ(read_file(write(7, root / "b") / "state.h5"), once);
}

TEST_F(CheckpointTest, a_loss_that_was_never_measured_stays_infinite) {
  Trained saved(config, 5);
  saved.progress.best_loss = std::numeric_limits<double>::infinity();
  const auto path = write_checkpoint(folder, view_of(saved.state(), {}), {});
  Trained loaded(config, 6);
  auto state = loaded.state();
  read_checkpoint(path, state);
  EXPECT_EQ(loaded.progress.best_loss, std::numeric_limits<double>::infinity());
}

TEST_F(CheckpointTest, a_model_is_read_without_touching_the_optimiser) {
  Trained saved(config, 5);
  const auto path = write_checkpoint(folder, view_of(saved.state(), {}), {});
  Trained other(config, 6);
  const auto moment = other.optimizer.first_moment().clone();
  read_model(path, *other.decoder, &other.mean_image, Weights::kLatest);
  EXPECT_TRUE(other.decoder->parameters().flat().equal(saved.decoder->parameters().flat()));
  EXPECT_TRUE(other.mean_image.equal(saved.mean_image));
  EXPECT_TRUE(other.decoder->parameters().running_averages()[1].variance.equal(
      saved.decoder->parameters().running_averages()[1].variance));
  EXPECT_TRUE(other.optimizer.first_moment().equal(moment));
  read_model(path, *other.decoder, &other.mean_image, Weights::kAverage);
  EXPECT_TRUE(other.decoder->parameters().flat().equal(saved.average));
}

TEST_F(CheckpointTest, without_an_average_the_latest_weights_are_read) {
  config.trainer.ema_decay = 0;
  Trained saved(config, 5);
  const auto path = write_checkpoint(folder, view_of(saved.state(), {}), {});
  Trained other(config, 6);
  read_model(path, *other.decoder, &other.mean_image, Weights::kAverage);
  EXPECT_TRUE(other.decoder->parameters().flat().equal(saved.decoder->parameters().flat()));
}

TEST_F(CheckpointTest, a_truncated_state_is_refused_by_name) {
  const auto path = write(7);
  const auto whole = read_file(path / "state.h5");
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_file(path / "state.h5", whole.substr(0, length));
    EXPECT_THAT(refusal(path), HasSubstr("checkpoint '" + path.string() + "' is damaged"))
        << length;
  }
  write_file(path / "state.h5", whole + '\0');
  EXPECT_THAT(refusal(path), HasSubstr("is damaged"));
  write_file(path / "state.h5", whole);
  EXPECT_EQ(refusal(path), "accepted");
}

TEST_F(CheckpointTest, a_flipped_bit_is_refused_by_name_wherever_it_is) {
  const auto path = write(7);
  for (const auto* name : {"state.h5", "COMPLETE"}) {
    const auto whole = read_file(path / name);
    const auto stride = std::max<std::size_t>(1, whole.size() / 24);
    for (std::size_t at = 0; at < whole.size(); at += stride) {
      auto flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
      write_file(path / name, flipped);
      EXPECT_THAT(refusal(path), HasSubstr("checkpoint '" + path.string() + "' is damaged"))
          << name << ", byte " << at;
    }
    write_file(path / name, whole);
  }
  EXPECT_EQ(refusal(path), "accepted");
}

TEST_F(CheckpointTest, an_incomplete_one_is_refused_with_what_it_lacks) {
  const auto path = write(7);
  fs::rename(path / "COMPLETE", path / "kept");
  EXPECT_THAT(refusal(path), HasSubstr("'" + path.string() +
                                       "' is incomplete: it has no file "
                                       "COMPLETE"));
  fs::rename(path / "kept", path / "COMPLETE");
  fs::remove(path / "state.h5");
  EXPECT_THAT(refusal(path), HasSubstr("is incomplete: it has no file state.h5"));
  EXPECT_THROW(verify_checkpoint(folder / "step-00000008"), MissingInputError);
}

TEST_F(CheckpointTest, another_models_checkpoint_is_refused_by_the_parameter_that_differs) {
  const auto complaint = [&](const RunConfig& saved, const RunConfig& wanted) {
    Trained one(saved, 5);
    const auto path = write_checkpoint(folder, view_of(one.state(), {}), {});
    Trained other(wanted, 6);
    auto state = other.state();
    try {
      read_checkpoint(path, state);
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr("checkpoint '" + path.string() + "'"));
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  auto wider = config;
  wider.model.filters = 5;
  EXPECT_THAT(complaint(wider, config),
              HasSubstr("is of another model: dec.conv0.weight has shape [4, 10, 4, 4], not "
                        "[4, 6, 4, 4]"));
  const auto siren = config_of(DecoderKind::kSiren);
  EXPECT_THAT(complaint(siren, config), HasSubstr("dec.conv0.weight"));
  EXPECT_THAT(complaint(config, siren), HasSubstr("siren.layer0.weight"));
  auto without_batch_norm = config;
  without_batch_norm.model.batch_norm = BatchNormMode::kNone;
  EXPECT_THAT(complaint(without_batch_norm, config), HasSubstr("dec.bn0.weight"));
  EXPECT_THAT(complaint(config, without_batch_norm), HasSubstr("dec.bn0"));
}

TEST_F(CheckpointTest, latents_of_other_images_are_refused_by_their_number) {
  config.model.family = Family::kGlo;
  Trained one(config, 5, 20);
  const auto path =
      write_checkpoint(folder, view_of(one.state(), one.model.objective->gather_state()), {});
  for (const std::int64_t images : {20, 19, 21}) {
    Trained other(config, 6, images);
    auto state = other.state();
    if (images == 20) {
      EXPECT_NO_THROW(read_checkpoint(path, state));
      continue;
    }
    try {
      read_checkpoint(path, state);
      FAIL() << "accepted for " << images;
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr("rows has shape [20, "));
      EXPECT_THAT(error.what(), HasSubstr("not [" + std::to_string(images) + ", "));
    }
  }
}

TEST_F(CheckpointTest, float32_weights_start_a_float64_model) {
  Trained saved(config, 5);
  const auto path = write_checkpoint(folder, view_of(saved.state(), {}), {});
  Trained other(config_of(DecoderKind::kConv, Precision::kFloat64), 6);
  read_model(path, *other.decoder, &other.mean_image, Weights::kLatest);
  EXPECT_TRUE(other.decoder->parameters().flat().equal(
      saved.decoder->parameters().flat().to(torch::kFloat64)));
}

TEST_F(CheckpointTest, a_step_written_again_replaces_a_damaged_one) {
  const auto path = write(7);
  write_file(path / "state.h5", "rubbish");
  EXPECT_EQ(write(7), path);
  EXPECT_EQ(refusal(path), "accepted");
}

TEST_F(CheckpointTest, the_newest_complete_one_is_found_past_damaged_ones_with_a_sentence_each) {
  const auto newest = write(1000000000);  // more digits than the name pads to
  const auto middle = write(20);
  const auto oldest = write(3);
  fs::create_directories(folder / ".step-00000030.partial");
  fs::create_directories(folder / "step-");
  fs::create_directories(folder / "step-12x");
  fs::create_directories(folder / "step-99999999999999999999");  // no number of steps
  EXPECT_EQ(names(),
            (std::vector<std::string>{"step-1000000000", "step-00000020", "step-00000003"}));
  EXPECT_EQ(newest_complete(folder).path, newest);

  fs::remove(newest / "COMPLETE");
  fs::resize_file(middle / "state.h5", 500);
  const auto found = newest_complete(folder);
  EXPECT_EQ(found.path, oldest);
  ASSERT_EQ(found.skipped.size(), 2U);
  EXPECT_THAT(found.skipped[0], HasSubstr(newest.string()));
  EXPECT_THAT(found.skipped[0], HasSubstr("incomplete"));
  EXPECT_THAT(found.skipped[1], HasSubstr(middle.string()));
  EXPECT_THAT(found.skipped[1], HasSubstr("damaged"));

  fs::remove(oldest / "COMPLETE");
  EXPECT_FALSE(newest_complete(folder).path.has_value());
  EXPECT_EQ(newest_complete(folder).skipped.size(), 3U);
  EXPECT_FALSE(newest_complete(root / "nowhere").path.has_value());
}

TEST_F(CheckpointTest, weights_for_other_images_leave_their_mean_image_alone) {
  const auto path = write(7);
  Trained other(config, 8);
  const auto mean = other.mean_image.clone();
  read_model(path, *other.decoder, /*mean_image=*/nullptr, Weights::kLatest);
  Trained same(config, 7);
  EXPECT_TRUE(other.decoder->parameters().flat().equal(same.decoder->parameters().flat()));
  EXPECT_TRUE(other.mean_image.equal(mean));
}

TEST_F(CheckpointTest, the_best_is_pointed_to_again_after_a_kill_between) {
  write(2);
  write(4);
  mark_best(folder / "step-00000002");
  mark_best_again(folder, 4);
  EXPECT_EQ(fs::read_symlink(folder / "best"), "step-00000004");
  mark_best_again(folder, 6);
  EXPECT_FALSE(fs::exists(fs::symlink_status(folder / "best"))) << "there is no step 6";
}

TEST_F(CheckpointTest, a_folder_that_cannot_be_listed_is_not_one_without_checkpoints) {
  write_file(root / "file", "no folder");
  EXPECT_THROW(static_cast<void>(list_checkpoints(root / "file")), IoError);
  EXPECT_TRUE(list_checkpoints(root / "nowhere").empty());
}

TEST_F(CheckpointTest, the_newest_and_the_best_are_kept) {
  for (const std::int64_t step : {1, 2, 3, 4, 5, 6}) {
    write(step);
    if (step == 2) mark_best(folder / "step-00000002");
  }
  remove_old_checkpoints(folder / "step-00000006", 3);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000006", "step-00000005", "step-00000004",
                                               "step-00000002"}));
  remove_old_checkpoints(folder / "step-00000006", 0);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000006", "step-00000002"}))
      << "one is always kept";
  for (const auto& path : list_checkpoints(folder)) EXPECT_EQ(refusal(path), "accepted");

  // Another best lets the old one go.
  mark_best(folder / "step-00000006");
  remove_old_checkpoints(folder / "step-00000006", 1);
  EXPECT_EQ(names(), std::vector<std::string>{"step-00000006"});
  EXPECT_EQ(fs::canonical(folder / "best"), fs::canonical(folder / "step-00000006"));
}

TEST_F(CheckpointTest, damaged_ones_that_a_resume_passed_over_do_not_push_out_good_ones) {
  for (const std::int64_t step : {3, 8, 9}) write(step);
  fs::remove(folder / "step-00000008" / "COMPLETE");
  fs::resize_file(folder / "step-00000009" / "state.h5", 500);
  // Resumed from step 3, the run writes step 5.
  remove_old_checkpoints(write(5), 1);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000009", "step-00000008", "step-00000005"}));
  EXPECT_EQ(newest_complete(folder).path, folder / "step-00000005");
}

TEST_F(CheckpointTest, unfinished_ones_do_not_count_among_those_kept) {
  for (const std::int64_t step : {3, 8, 9, 10}) write(step);
  fs::remove(folder / "step-00000008" / "COMPLETE");
  fs::remove(folder / "step-00000009" / "COMPLETE");
  remove_old_checkpoints(folder / "step-00000010", 2);
  EXPECT_TRUE(fs::exists(folder / "step-00000003" / "COMPLETE"));
}

TEST_F(CheckpointTest, what_a_kill_left_is_removed_and_nothing_else) {
  write(3);
  fs::create_directories(folder / ".step-00000005.partial");
  std::ofstream(folder / ".step-00000005.partial" / "state.h5") << "cut";
  std::ofstream(folder / "notes") << "mine";
  remove_unfinished(folder);
  EXPECT_FALSE(fs::exists(folder / ".step-00000005.partial"));
  EXPECT_TRUE(fs::exists(folder / "notes"));
  EXPECT_EQ(names(), std::vector<std::string>{"step-00000003"});
}

TEST_F(CheckpointTest, the_best_is_a_link_within_the_folder_that_is_replaced_at_once) {
  write(1);
  write(2);
  mark_best(folder / "step-00000001");
  fs::create_directory_symlink("step-00000009", folder / ".best.partial");  // left by a kill
  mark_best(folder / "step-00000002");
  EXPECT_EQ(fs::read_symlink(folder / "best"), "step-00000002");
  EXPECT_FALSE(fs::exists(fs::symlink_status(folder / ".best.partial")));
  // The run folder can move as a whole.
  fs::rename(root / "run", root / "moved");
  EXPECT_EQ(checkpoint_named(root / "moved").filename(), "step-00000002");
}

TEST_F(CheckpointTest, a_run_folder_means_its_best_or_else_its_newest_checkpoint) {
  const auto run = root / "run";
  EXPECT_THROW(static_cast<void>(checkpoint_named(run)), MissingInputError) << "none yet";
  write(1);
  const auto second = write(2);
  EXPECT_EQ(checkpoint_named(run), second);
  EXPECT_EQ(checkpoint_named(second), second);
  mark_best(folder / "step-00000001");
  EXPECT_EQ(checkpoint_named(run).filename(), "step-00000001");
  EXPECT_THROW(static_cast<void>(checkpoint_named(root / "nowhere")), MissingInputError);
  fs::remove(folder / "step-00000001" / "COMPLETE");
  EXPECT_THROW(static_cast<void>(checkpoint_named(folder / "step-00000001")), CheckpointError);
  EXPECT_THROW(static_cast<void>(checkpoint_named(run)), CheckpointError);
}

TEST_F(CheckpointTest, a_folder_that_cannot_be_made_is_named) {
  write_file(root / "file", "");
  try {
    write(1, root / "file" / "checkpoints");
    FAIL() << "wrote into a file";
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr((root / "file").string()));
  }
}

}  // namespace
}  // namespace gondola
