#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "configs/config_io.hpp"
#include "data/hdf5_attributes.hpp"
#include "data/hdf5_handle.hpp"
#include "launch/trained_model.hpp"
#include "tests/fuzz/hdf5_checksums.hpp"
#include "tests/support/damage.hpp"
#include "tests/trainer/trained.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/checkpoint/checkpoint_trial.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CheckpointFuzz : public testing::TestWithParam<DecoderKind> {
 protected:
  CheckpointFuzz()
      : config(config_of(GetParam())),
        saved(config, 7),
        path(write_checkpoint(root / "checkpoints", view_of(saved.state(), {}),
                              {.config_ini = to_ini(config), .world = 2})),
        whole(read_file(path / "state.h5")) {}
  ~CheckpointFuzz() override { fs::remove_all(root); }

  static std::string read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write_file(const fs::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// Puts `bytes` in the place of the state, with a COMPLETE that agrees.
  void forge(const std::string& bytes) const {
    char line[64];
    std::snprintf(line, sizeof(line), "%016llx %zu\n",
                  static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())),
                  bytes.size());
    write_file(path / "state.h5", bytes);
    write_file(path / "COMPLETE", line);
  }

  /// What --resume PATH does with the checkpoint, once it is found to be whole.
  void resume(Trained& loaded) const {
    const auto newest = newest_complete(root / "checkpoints");
    ASSERT_EQ(newest.path, path);
    try_to_read(path);
    (void)from_ini(read_origin(path).config_ini, path.string());
    auto state = loaded.state();
    read_checkpoint(path, state);
  }

  /// What export, eval and the other commands do with it.
  [[nodiscard]] torch::Tensor open_model() const {
    return TrainedModel(root, torch::kCPU).decoder().parameters().flat().clone();
  }

  const fs::path root =
      fs::temp_directory_path() / ("gondola-checkpoint-fuzz-" + std::to_string(::getpid()));
  RunConfig config;
  Trained saved;
  fs::path path;
  std::string whole;
};

TEST_P(CheckpointFuzz, damage_is_refused_by_the_hash_before_anything_is_parsed) {
  const auto mark = read_file(path / "COMPLETE");
  const auto attempt = [&] {
    const auto newest = newest_complete(root / "checkpoints");
    EXPECT_FALSE(newest.path.has_value());
    ASSERT_EQ(newest.skipped.size(), 1U);
    EXPECT_THAT(newest.skipped[0], HasSubstr("is damaged: state.h5 has hash and length"));
    (void)open_model();
  };
  std::int64_t unharmed = 0;
  const auto of_state = fuzz_bytes(
      "state.h5", whole, [](std::string& bytes) { mend_hdf5(bytes); },
      [&](const std::string& bytes) {
        write_file(path / "state.h5", bytes);
        if (bytes != whole) return attempt();
        ++unharmed;
        Trained loaded(config, 9);
        resume(loaded);
        expect_same_bits(loaded, saved);
      });
  EXPECT_EQ(of_state.refused + unharmed, of_state.files);
  write_file(path / "state.h5", whole);
  unharmed = 0;
  const auto of_mark = fuzz_bytes(
      "COMPLETE", mark, [](std::string&) {},
      [&](const std::string& bytes) {
        write_file(path / "COMPLETE", bytes);
        if (bytes != mark) return attempt();
        ++unharmed;
      });
  EXPECT_EQ(of_mark.refused + unharmed, of_mark.files);
}

TEST_P(CheckpointFuzz, a_forged_hash_does_not_make_damage_dangerous) {
  std::int64_t mended = 0;
  const auto mend = [&](std::string& bytes) { mended += mend_hdf5(bytes) > 0 ? 1 : 0; };
  const auto resumed = fuzz_bytes("state.h5", whole, mend, [&](const std::string& bytes) {
    forge(bytes);
    Trained loaded(config, 9);
    resume(loaded);
    EXPECT_GE(loaded.progress.step, 0);
    EXPECT_GE(loaded.progress.cursor.epoch, 0);
    EXPECT_GE(loaded.progress.cursor.batch, 0);
    if (bytes == whole) expect_same_bits(loaded, saved);
  });
  const auto opened = fuzz_bytes("state.h5", whole, mend, [&](const std::string& bytes) {
    forge(bytes);
    const auto weights = open_model();
    if (bytes == whole) {
      EXPECT_TRUE(weights.equal(saved.average));
    }
  });
  EXPECT_GT(mended, resumed.files / 8) << "no damage reaches the parser";
  EXPECT_GT(resumed.refused, resumed.files / 20) << "the damage is not met";
  EXPECT_LT(resumed.refused, resumed.files) << "nothing is read";
  EXPECT_GT(opened.refused, opened.files / 20) << "the damage is not met";
  RecordProperty("resumes_refused", std::to_string(resumed.refused));
  RecordProperty("models_refused", std::to_string(opened.refused));
}

TEST_P(CheckpointFuzz, what_crashes_the_library_crashes_a_helper_instead) {
  // Where the attributes of the root would be kept if they were many: at an address so high that
  // HDF5 1.10 adds up beyond the last one and copies from before its buffer.
  auto bytes = whole;
  const std::string nowhere(8, '\xFF');
  const auto place = bytes.find(nowhere + nowhere, bytes.find("OHDR"));
  ASSERT_NE(place, std::string::npos);
  for (const std::size_t at : {place, place + 8}) bytes[at] = '\xF0';
  ASSERT_EQ(mend_hdf5(bytes), 1);
  forge(bytes);
  try {
    try_to_read(path);
    ADD_FAILURE() << "read";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("checkpoint '" + path.string() + "'"));
    EXPECT_THAT(error.what(), HasSubstr("damaged"));
  }
}

TEST_P(CheckpointFuzz, a_cursor_that_no_run_can_have_is_refused) {
  const auto set = [&](const char* name, std::int64_t value) {
    {
      const auto file = hdf5::open_file_for_writing((path / "state.h5").string());
      hdf5::write_attribute(hdf5::open_group(file.get(), "cursor").get(), name, value);
    }
    forge(read_file(path / "state.h5"));
  };
  for (const char* name : {"step", "epoch", "batch", "best_step", "usual_norm_steps"}) {
    for (const std::int64_t value : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
      set(name, value);
      Trained loaded(config, 9);
      try {
        resume(loaded);
        ADD_FAILURE() << name << " = " << value << " was read";
      } catch (const CheckpointError& error) {
        EXPECT_THAT(error.what(), HasSubstr(std::string(" as ") + name + " of its cursor"));
      }
    }
    set(name, 3);
  }
}

INSTANTIATE_TEST_SUITE_P(Decoders, CheckpointFuzz,
                         testing::Values(DecoderKind::kSiren, DecoderKind::kConv),
                         [](const auto& decoder) {
                           return decoder.param == DecoderKind::kSiren ? "siren" : "conv";
                         });

}  // namespace
}  // namespace gondola
