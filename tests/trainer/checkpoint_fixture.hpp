#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "tests/trainer/trained.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"

namespace gondola {

namespace fs = std::filesystem;

/// Has a run folder of its own for checkpoints.
class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    fs::remove_all(root);
    fs::create_directories(folder);
  }
  ~CheckpointTest() override { fs::remove_all(root); }

  /// Writes a checkpoint of step `step` into `into`.
  fs::path write(std::int64_t step, const fs::path& into) const {
    Trained trained(config, static_cast<std::uint64_t>(step));
    return write_checkpoint(into, view_of(trained.state(), {}),
                            {.config_ini = "[run]\nseed=1\n", .world = 3});
  }
  fs::path write(std::int64_t step) const { return write(step, folder); }

  static std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write_file(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// What is said about a path that is refused as damaged.
  static std::string refusal(const fs::path& path) {
    try {
      verify_checkpoint(path);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& path : list_checkpoints(folder)) result.push_back(path.filename().string());
    return result;
  }

  const fs::path root =
      fs::temp_directory_path() / ("gondola-checkpoint-test-" + std::to_string(::getpid()));
  const fs::path folder = root / "run" / "checkpoints";
  RunConfig config = config_of(DecoderKind::kConv);
};

}  // namespace gondola
