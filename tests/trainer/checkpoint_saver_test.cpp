#include "trainer/checkpoint/checkpoint_saver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "tests/monitoring/file_size_limit.hpp"
#include "tests/trainer/trained.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/parallel/mpi_communicator.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using When = CheckpointSaver::When;

/// Keeps what it is told.
struct Heard final : StepObserver {
  void on_checkpoint(const CheckpointReport& report) override { written.push_back(report.step); }
  void on_checkpoint_failure(const CheckpointFailure& failure) override {
    failed.push_back(failure.step);
  }
  void flush() override { ++flushed; }
  std::vector<std::int64_t> written;
  std::vector<std::int64_t> failed;
  int flushed = 0;
};

/// A run on all ranks, whose folder rank 0 makes.
class CheckpointSaverTest : public testing::Test {
 protected:
  CheckpointSaverTest() {
    if (comm.rank() == 0) {
      fs::remove_all(folder);
      fs::create_directories(folder);
    }
    config.checkpoint.keep = 100;
    trained.progress = {};
  }
  ~CheckpointSaverTest() override {
    comm.barrier();
    if (comm.rank() == 0) fs::remove_all(folder);
  }

  /// The names that rank 0 sees.
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& path : list_checkpoints(folder)) result.push_back(path.filename());
    return result;
  }
  std::string best() const {
    std::error_code error;
    return fs::read_symlink(folder / "best", error).string();
  }

  void train_to(std::int64_t step) {
    const at::NoGradGuard no_grad;
    trained.progress.step = step;
    trained.decoder->parameters().flat().add_(1);
  }
  /// Collective.
  void save(std::int64_t step, When when = When::kBehind) {
    train_to(step);
    saver.save(when);
  }
  /// Collective. Saves while no file may grow beyond a few bytes; the failure is known.
  void fail_to_save(std::int64_t step, When when = When::kBehind) {
    const FileSizeLimit full(100);
    save(step, when);
    saver.finish();
  }
  /// Collective. What that ends the run with.
  std::string refusal(std::int64_t step, When when = When::kBehind) {
    try {
      fail_to_save(step, when);
    } catch (const IoError& error) {
      return error.what();
    }
    return "training goes on";
  }
  /// Collective. Whether all ranks have the same text.
  bool same_on_all(const std::string& text) {
    auto hash = torch::tensor({static_cast<std::int64_t>(std::hash<std::string>{}(text))});
    const auto all = comm.all_gather(hash);
    return all.eq(hash).all().item<bool>();
  }

  RunConfig config = config_of(DecoderKind::kSiren);
  CollectiveProgress progress;
  MpiCommunicator comm{MPI_COMM_WORLD, progress};
  std::unique_ptr<ImageSource> source =
      open_source("synthetic:8x1x16x16", Split::kTrain, CacheKind::kNone);
  Trained trained{config, 1};
  TrainingState state = trained.state();
  Heard heard;
  std::vector<std::string> warnings;
  fs::path folder = fs::temp_directory_path() /
                    ("gondola-saver-test-" + std::to_string(comm.rank() == 0 ? ::getpid() : 0));
  TrainingRun run{.config = config,
                  .train = *source,
                  .state = state,
                  .communicator = comm,
                  .control = comm,
                  .progress = progress,
                  .stop_requested = [] { return false; },
                  .observers = {&heard},
                  .checkpoint_folder = folder,
                  .origin = {},
                  .warn = [&](const std::string& sentence) { warnings.push_back(sentence); }};
  CheckpointSaver saver{run};
};

TEST_F(CheckpointSaverTest, what_came_of_it_is_known_to_all_at_a_later_step) {
  save(3);
  EXPECT_THAT(heard.written, IsEmpty()) << "nobody has asked yet";
  auto agreed = CheckpointNews::kNone;
  while (agreed == CheckpointNews::kNone) {
    agreed = agree(comm, {.checkpoint = saver.news()}).checkpoint;
    saver.heed(agreed);
  }
  EXPECT_EQ(agreed, CheckpointNews::kWritten);
  const auto before = progress.sequence();
  saver.finish();
  EXPECT_EQ(progress.sequence(), before) << "there is nothing to wait for";
  if (comm.rank() != 0) {
    EXPECT_THAT(heard.written, IsEmpty());
    return;
  }
  EXPECT_THAT(heard.written, ElementsAre(3));
  EXPECT_EQ(heard.flushed, 1);
  EXPECT_THAT(names(), ElementsAre("step-00000003"));
}

TEST_F(CheckpointSaverTest, to_save_behind_training_is_no_collective_where_nothing_is_being_saved) {
  const auto before = progress.sequence();
  save(3);
  EXPECT_EQ(progress.sequence(), before);
  saver.finish();
  EXPECT_EQ(progress.sequence(), before + 1);
}

TEST_F(CheckpointSaverTest, the_next_one_waits_for_the_one_before_and_both_are_whole) {
  save(3);
  save(4);
  const auto weights = trained.decoder->parameters().flat().clone();
  train_to(5);
  saver.finish();
  if (comm.rank() != 0) return;
  EXPECT_THAT(heard.written, ElementsAre(3, 4));
  EXPECT_THAT(names(), ElementsAre("step-00000004", "step-00000003"));
  Trained loaded(config, 99);
  auto into = loaded.state();
  read_checkpoint(folder / "step-00000004", into);
  EXPECT_TRUE(loaded.decoder->parameters().flat().equal(weights));
  EXPECT_EQ(loaded.progress.step, 4);
}

TEST_F(CheckpointSaverTest, old_ones_are_removed_behind_the_new_one) {
  config.checkpoint.keep = 2;
  for (const std::int64_t step : {1, 2, 3, 4}) save(step);
  saver.finish();
  if (comm.rank() == 0) {
    EXPECT_THAT(names(), ElementsAre("step-00000004", "step-00000003"));
  }
}

TEST_F(CheckpointSaverTest, an_old_one_that_cannot_be_removed_is_told_and_the_new_one_counts) {
  config.checkpoint.keep = 1;
  save(1);
  save(2);
  saver.finish();
  const auto held = folder / "step-00000002" / "held";
  std::int64_t mounted = 0;
  if (comm.rank() == 0) {
    fs::create_directory(held);
    mounted = ::mount("none", held.c_str(), "tmpfs", 0, nullptr) == 0 ? 1 : 0;
  }
  auto agreed = torch::tensor({mounted});
  comm.broadcast(agreed, 0);
  if (agreed.item<std::int64_t>() == 0) GTEST_SKIP() << "a folder is held by mounting on it";
  save(3);
  EXPECT_NO_THROW(saver.finish());
  if (comm.rank() != 0) return;
  ::umount(held.c_str());
  EXPECT_THAT(heard.written, ElementsAre(1, 2, 3));
  EXPECT_THAT(heard.failed, IsEmpty());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("cannot remove old checkpoint")));
}

TEST_F(CheckpointSaverTest, the_last_one_and_all_where_threads_are_off_are_complete_at_once) {
  save(3, When::kAtOnce);
  if (comm.rank() == 0) {
    EXPECT_THAT(heard.written, ElementsAre(3));
  }
  config.checkpoint.asynchronous = false;
  save(4);
  if (comm.rank() == 0) {
    EXPECT_THAT(heard.written, ElementsAre(3, 4));
  }
}

TEST_F(CheckpointSaverTest, the_best_is_marked_behind_its_checkpoint) {
  train_to(3);
  saver.note_loss(5.0);
  saver.save(When::kBehind);
  train_to(4);
  saver.note_loss(6.0);
  saver.save(When::kBehind);
  saver.finish();
  EXPECT_EQ(trained.progress.best_loss, 5.0);
  EXPECT_EQ(trained.progress.best_step, 3);
  if (comm.rank() == 0) {
    EXPECT_EQ(best(), "step-00000003");
  }
}

TEST_F(CheckpointSaverTest, a_best_that_could_not_be_written_is_none) {
  config.checkpoint.failures_allowed = 5;
  train_to(3);
  saver.note_loss(5.0);
  saver.save(When::kBehind);
  train_to(4);
  saver.note_loss(4.0);
  fail_to_save(4);
  EXPECT_EQ(trained.progress.best_loss, 5.0);
  EXPECT_EQ(trained.progress.best_step, 3);
  train_to(5);
  saver.note_loss(4.5);
  saver.save(When::kBehind);
  saver.finish();
  EXPECT_EQ(trained.progress.best_step, 5);
  if (comm.rank() == 0) {
    EXPECT_EQ(best(), "step-00000005");
  }
}

TEST_F(CheckpointSaverTest, a_loss_is_held_against_the_best_that_is_on_disk) {
  config.checkpoint.failures_allowed = 5;
  train_to(3);
  saver.note_loss(5.0);
  saver.save(When::kBehind);
  saver.finish();
  train_to(4);
  saver.note_loss(4.0);
  const FileSizeLimit full(100);
  saver.save(When::kBehind);
  train_to(5);
  saver.note_loss(4.5);
  EXPECT_EQ(trained.progress.best_loss, 4.5);
  EXPECT_EQ(trained.progress.best_step, 5);
}

TEST_F(CheckpointSaverTest, the_first_best_that_could_not_be_written_leaves_none) {
  config.checkpoint.failures_allowed = 5;
  train_to(3);
  saver.note_loss(5.0);
  fail_to_save(3);
  EXPECT_EQ(trained.progress.best_loss, std::numeric_limits<double>::infinity());
  EXPECT_EQ(trained.progress.best_step, 0);
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(CheckpointSaverTest, a_failure_ends_all_ranks_with_one_sentence) {
  const auto said = refusal(3);
  EXPECT_THAT(said, HasSubstr("rank 0: the checkpoint of step 3 is not written: cannot write"));
  EXPECT_TRUE(same_on_all(said)) << said;
  EXPECT_THAT(warnings, IsEmpty());
  if (comm.rank() == 0) {
    EXPECT_THAT(heard.failed, ElementsAre(3));
    EXPECT_THAT(names(), IsEmpty());
    EXPECT_TRUE(fs::is_empty(folder)) << "half of it was left";
  }
}

TEST_F(CheckpointSaverTest, as_many_failures_in_a_row_as_are_allowed_stop_nothing) {
  config.checkpoint.failures_allowed = 2;
  for (const std::int64_t step : {1, 2}) fail_to_save(step);
  save(3);
  saver.finish();
  for (const std::int64_t step : {4, 5}) fail_to_save(step);
  EXPECT_THAT(refusal(6), HasSubstr("the checkpoint of step 6 is not written"));
  if (comm.rank() != 0) return;
  EXPECT_THAT(heard.written, ElementsAre(3));
  EXPECT_THAT(heard.failed, ElementsAre(1, 2, 4, 5, 6));
  ASSERT_EQ(warnings.size(), 4U);
  EXPECT_THAT(warnings[3], HasSubstr("the checkpoint of step 5 is not written: cannot write"));
  EXPECT_THAT(warnings[3], HasSubstr("failure 2 in a row"));
}

TEST_F(CheckpointSaverTest, the_last_one_may_not_fail) {
  config.checkpoint.failures_allowed = 5;
  const auto said = refusal(3, When::kAtOnce);
  EXPECT_THAT(said, HasSubstr("the checkpoint of step 3 is not written"));
  EXPECT_TRUE(same_on_all(said));
}

}  // namespace
}  // namespace gondola
