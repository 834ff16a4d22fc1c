#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "configs/run_config.hpp"
#include "launch/run_lock.hpp"
#include "trainer/parallel/communicator.hpp"

namespace gondola {

/// Where a run writes and where it starts from. The same on all ranks.
struct RunFolder {
  std::filesystem::path path;
  std::optional<std::filesystem::path> resume_from;  ///< A verified checkpoint.
  std::unique_ptr<RunLock> lock;                     ///< Rank 0: as long as the run goes on.

  [[nodiscard]] std::filesystem::path checkpoints() const { return path / "checkpoints"; }
};

/// Collective. Chooses the folder (run.folder, or runs/<preset>-<date>-<time> where that is empty)
/// and the checkpoint to resume from, and makes the folder of a new run. Sentences about
/// checkpoints that were passed over go to stderr of rank 0.
/// @param dataset fingerprint of the training images.
/// @throws ConfigError where the folder holds a run and --resume was not given, holds another run
/// than the named checkpoint's, the ledger is another run's, or the config may not be resumed with;
/// MissingInputError for a named checkpoint that is not there; DataError for other images than the
/// checkpoint's; CheckpointError where none of those there is whole; WorldError where another job
/// trains there; IoError.
[[nodiscard]] RunFolder open_run_folder(const RunConfig& config, const std::string& preset,
                                        std::uint64_t dataset, Communicator& control);

/// Writes config.ini, atomically. @throws IoError
void write_config_ini(const std::filesystem::path& run_folder, const std::string& ini);

}  // namespace gondola
