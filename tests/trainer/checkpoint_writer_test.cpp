#include "trainer/checkpoint/checkpoint_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <latch>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "data/batch_loader.hpp"
#include "tests/data/foreign_files.hpp"
#include "tests/trainer/trained.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

std::string error_of(const WriteOutcome& outcome) {
  if (!outcome.error) return "";
  try {
    std::rethrow_exception(outcome.error);
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(CheckpointWriter, its_owner_goes_on_while_it_writes_and_gets_the_outcome_once) {
  CheckpointWriter writer;
  EXPECT_FALSE(writer.poll());
  EXPECT_FALSE(writer.wait());
  std::latch may_end(1);
  writer.begin([&] { may_end.wait(); });
  EXPECT_FALSE(writer.poll()) << "it is still being written";
  may_end.count_down();
  const auto outcome = writer.wait();
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(outcome->error);
  EXPECT_FALSE(writer.poll());
  EXPECT_FALSE(writer.wait());
}

TEST(CheckpointWriter, an_outcome_is_there_without_waiting_some_time) {
  CheckpointWriter writer;
  for (int i = 0; i < 2; ++i) {
    writer.begin([] {});
    std::optional<WriteOutcome> outcome;
    while (!(outcome = writer.poll())) std::this_thread::yield();
  }
}

TEST(CheckpointWriter, what_it_meets_is_told_to_its_owner) {
  CheckpointWriter writer;
  writer.begin([] { throw std::runtime_error("the disk is full"); });
  const auto outcome = writer.wait();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(error_of(*outcome), "the disk is full");
  writer.begin([] {});
  EXPECT_EQ(error_of(*writer.wait()), "") << "of the one before";
}

TEST(CheckpointWriter, it_ends_what_it_began_before_it_goes) {
  bool written = false;
  {
    CheckpointWriter writer;
    writer.begin([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      written = true;
    });
  }
  EXPECT_TRUE(written);
}

TEST(CheckpointWriter, its_thread_alone_has_a_lower_priority) {
  const auto niceness = [] { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); };
  const int own = niceness();
  if (own >= 10) GTEST_SKIP() << "this test itself has a low priority";
  CheckpointWriter writer;
  int of_writer = own;
  writer.begin([&] { of_writer = niceness(); });
  (void)writer.wait();
  EXPECT_GT(of_writer, own);
  EXPECT_EQ(niceness(), own);
}

class SnapshotTest : public ForeignFiles {
 protected:
  [[nodiscard]] fs::path folder() const { return in_folder("checkpoints"); }

  static void expect_written(const fs::path& path, const RunConfig& config, Trained& expected) {
    verify_checkpoint(path);
    Trained loaded(config, 99);
    auto state = loaded.state();
    read_checkpoint(path, state);
    expect_same_bits(loaded, expected);
  }

  /// Another state in the same memory.
  static void change(Trained& trained) {
    const at::NoGradGuard no_grad;
    for (auto& tensor : trained.all_tensors()) tensor.add_(1);
    trained.optimizer.updates().add_(1);
    ++trained.progress.step;
    trained.progress.best_loss = 0;
  }
};

TEST_F(SnapshotTest, a_copy_is_written_as_it_was_though_training_goes_on) {
  for (const auto kind : {DecoderKind::kSiren, DecoderKind::kConv}) {
    const auto config = config_of(kind);
    Trained trained(config, 12);
    StateSnapshot snapshot;
    copy_state(trained.state(), {{"rows", torch::ones({3})}}, snapshot);
    change(trained);
    CheckpointWriter writer;
    fs::path path;
    writer.begin([&] { path = write_checkpoint(folder(), snapshot, {}); });
    change(trained);
    EXPECT_EQ(error_of(*writer.wait()), "");
    Trained as_it_was(config, 12);
    expect_written(path, config, as_it_was);
  }
}

TEST_F(SnapshotTest, the_next_copy_takes_the_memory_of_the_one_before) {
  const auto config = config_of(DecoderKind::kConv);
  Trained trained(config, 12);
  StateSnapshot snapshot;
  copy_state(trained.state(), {}, snapshot);
  const auto* const weights = snapshot.weights.const_data_ptr();
  const auto* const variance = snapshot.running_averages.at(0).variance.const_data_ptr();
  change(trained);
  copy_state(trained.state(), {}, snapshot);
  EXPECT_EQ(snapshot.weights.const_data_ptr(), weights);
  EXPECT_EQ(snapshot.running_averages.at(0).variance.const_data_ptr(), variance);
  expect_written(write_checkpoint(folder(), snapshot, {}), config, trained);
}

TEST_F(SnapshotTest, a_view_copies_nothing_that_is_on_the_host) {
  Trained trained(config_of(DecoderKind::kSiren), 12);
  const auto view = view_of(trained.state(), {});
  EXPECT_EQ(view.weights.const_data_ptr(), trained.decoder->parameters().flat().const_data_ptr());
  EXPECT_EQ(view.average.const_data_ptr(), trained.average.const_data_ptr());
}

/// HDF5 is used by the loader's threads and the writer's at once.
TEST_F(SnapshotTest, packed_images_are_read_while_checkpoints_are_written) {
  constexpr std::int64_t kImages = 96, kSide = 16;
  store("packed.h5",
        {.path = "train/images", .shape = {kImages, kSide, kSide}, .chunk = {8, kSide, kSide}},
        values(kImages, 1, kSide, kSide, false));
  const auto source = open_source(in_folder("packed.h5"), Split::kTrain, CacheKind::kNone);

  auto config = config_of(DecoderKind::kSiren);
  config.model.layers = 30;  // many small datasets: many calls
  Trained trained(config, 1);
  StateSnapshot snapshot;
  copy_state(trained.state(), {}, snapshot);

  BatchLoader loader(*source, {.batch_size = 8, .reader_threads = 2, .prefetch_batches = 4});
  CheckpointWriter writer;
  constexpr int kCheckpoints = 4;
  int written = 0;
  for (std::int64_t step = 1; written < kCheckpoints; ++step) {
    const auto batch = loader.next();
    for (std::int64_t i = 0; i < batch.images; ++i) {
      const auto id = batch.ids[static_cast<std::size_t>(i)];
      const auto pixels = batch.pixels.subspan(static_cast<std::size_t>(i * kSide * kSide),
                                               static_cast<std::size_t>(kSide * kSide));
      ASSERT_THAT(pixels, testing::ElementsAreArray(test_images(id, 1, kSide * kSide)));
    }
    const auto outcome = writer.poll();
    if (outcome) {
      ASSERT_EQ(error_of(*outcome), "");
      ++written;
    }
    if (step == 1 || (outcome && written < kCheckpoints)) {
      writer.begin([&] { (void)write_checkpoint(folder(), snapshot, {}); });
    }
  }
  expect_written(folder() / "step-00000001", config, trained);
}

}  // namespace
}  // namespace gondola
