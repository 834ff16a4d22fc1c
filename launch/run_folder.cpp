#include "launch/run_folder.hpp"

#include <array>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/validate_config.hpp"
#include "data/atomic_file.hpp"
#include "data/ledger.hpp"
#include "launch/collective_files.hpp"
#include "launch/rank_zero.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_folder.hpp"
#include "trainer/checkpoint/checkpoint_trial.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

/// runs/<name>-<date>-<time>, with a number where that second has a run already.
fs::path fresh_name(const std::string& preset) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), "%Y%m%d-%H%M%S", &local);
  const auto name = (preset.empty() ? "run" : preset) + "-" + stamp.data();
  fs::path path = fs::path("runs") / name;
  for (int i = 2; fs::exists(path); ++i) path = fs::path("runs") / (name + "-" + std::to_string(i));
  return path;
}

/// The folder is there and something is in it. @throws IoError where that cannot be seen
bool holds_a_run(const fs::path& folder) {
  std::error_code error;
  const bool there = fs::exists(folder, error);
  const bool empty = error || !there || fs::is_empty(folder, error);
  if (error) {
    throw IoError("cannot read run folder '" + folder.string() + "': " + error.message() +
                  "; check the path and its permissions, or name another --run.folder");
  }
  return !empty;
}

void create(const fs::path& folder) {
  std::error_code error;
  for (const char* part : {"", "checkpoints", "logs", "samples", "prometheus"}) {
    fs::create_directories(folder / part, error);
    if (error) {
      throw IoError("cannot create run folder '" + (folder / part).string() +
                    "': " + error.message());
    }
  }
}

/// The checkpoint that --resume means in this folder, or none for a fresh start.
std::optional<fs::path> find_resume(const RunSection& run, const fs::path& folder) {
  if (run.resume.empty()) return std::nullopt;
  if (run.resume != "auto") {
    verify_checkpoint(run.resume);
    return fs::path(run.resume);
  }
  const auto newest = newest_complete(folder / "checkpoints");
  for (const auto& sentence : newest.skipped) {
    std::fprintf(stderr, "gondola: passed over: %s\n", sentence.c_str());
  }
  if (!newest.path && !newest.skipped.empty()) {
    throw CheckpointError("no checkpoint of '" + folder.string() + "' is whole, the newest: " +
                          newest.skipped.front() + "; start anew in another run.folder");
  }
  return newest.path;
}

/// A named checkpoint goes on in the run that it is of, or in a folder of its own: rows and
/// checkpoints of another run would be written over.
void refuse_other_run(const RunSection& run, const fs::path& folder) {
  if (run.resume.empty() || run.resume == "auto" || !holds_a_run(folder)) return;
  std::error_code error;
  if (fs::equivalent(fs::path(run.resume) / "..", folder / "checkpoints", error)) return;
  throw ConfigError("run folder '" + folder.string() + "' holds another run than checkpoint '" +
                    run.resume + "': name a new --run.folder, or a checkpoint of that run");
}

void refuse_conflicts(const RunConfig& config, std::uint64_t dataset, const fs::path& checkpoint) {
  const auto origin = read_origin(checkpoint);
  if (origin.dataset != dataset) {
    const auto& targets = config.data.targets;
    throw DataError("the images of " + config.data.path +
                    (targets.empty() ? "" : " or " + targets) +
                    " are not those that the run of checkpoint '" + checkpoint.string() +
                    "' was trained on: give that dataset, or start a new run folder (with "
                    "--checkpoint.init to begin from these weights)");
  }
  const auto saved = from_ini(origin.config_ini, checkpoint.string());
  const auto problems = resume_conflicts(saved, config);
  if (!problems.empty()) throw_config_error(problems);
}

}  // namespace

RunFolder open_run_folder(const RunConfig& config, const std::string& preset, std::uint64_t dataset,
                          Communicator& control) {
  RunFolder result;
  result.path = decide_on_rank_zero(control, [&] {
    if (config.run.resume == "auto" && config.run.folder.empty()) {
      throw ConfigError("--resume auto needs to know the run: name its --run.folder");
    }
    const auto folder =
        config.run.folder.empty() ? fresh_name(preset) : fs::path(config.run.folder);
    std::error_code unseen;  // holds_a_run says what it is
    if (fs::exists(folder, unseen) && !fs::is_directory(folder, unseen)) {
      throw ConfigError("run folder '" + folder.string() +
                        "' is a file: name another --run.folder");
    }
    const bool used = holds_a_run(folder);
    if (config.run.resume.empty() && used) {
      throw ConfigError(
          "run folder '" + folder.string() +
          "' holds a run already: continue it with --resume auto, or name another --run.folder");
    }
    refuse_other_run(config.run, folder);
    // A run that ended before its first checkpoint has its ledger already.
    const bool starts = config.run.resume.empty() || !used;
    if (!config.data.ledger.empty() && starts) require_new_ledger(config.data.ledger);
    return folder.string();
  });
  const auto resume = decide_on_rank_zero(control, [&] {
    const auto take = [&] {
      create(result.path);
      result.lock = std::make_unique<RunLock>(result.path);
    };
    // Nobody else may go on with a run between the choice of its checkpoint and the going on.
    if (holds_a_run(result.path)) take();
    const auto found = find_resume(config.run, result.path);
    if (found) {
      if (config.run.resume != "auto") try_to_read(*found);  // may be a stranger's
      refuse_conflicts(config, dataset, *found);
    }
    if (!result.lock) take();
    remove_collectives(result.path);
    remove_unfinished(result.path / "checkpoints");
    return found ? found->string() : "";
  });
  if (!resume.empty()) result.resume_from = resume;
  return result;
}

void write_config_ini(const fs::path& run_folder, const std::string& ini) {
  write_file_atomically(run_folder / "config.ini",
                        {reinterpret_cast<const std::uint8_t*>(ini.data()), ini.size()});
}

}  // namespace gondola
