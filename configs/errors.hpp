#pragma once

#include <stdexcept>
#include <string>

namespace gondola {

/// What the program returns to the shell. Restart on 75, 76, 137 and other deaths by signal; never
/// on 64-71.
enum class ExitCode : int {
  kDone = 0,
  kBadConfig = 64,     ///< Bad command line or config.
  kBadData = 65,       ///< Bad dataset or checkpoint.
  kMissingInput = 66,  ///< An input is missing.
  kWrongWorld = 69,    ///< Singletons, a shared GPU, ranks that differ.
  kInternal = 70,      ///< A defect of this program.
  kDiverged = 71,      ///< Training diverged.
  kIoFailed = 74,      ///< Input or output failed: disk full, ...
  kStopped = 75,       ///< Stopped on request after a complete checkpoint: requeue and resume.
  kPeerLost = 76,      ///< A peer was lost, a collective timed out, replicas drifted.
};

/// An error that a user can act on. The message is one sentence: what, where, the value seen, the
/// cure.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// The command line or a config file asks for something impossible (64).
struct ConfigError : Error {
  explicit ConfigError(const std::string& s) : Error(ExitCode::kBadConfig, s) {}
};
/// A dataset is not what the format says (65).
struct DataError : Error {
  explicit DataError(const std::string& s) : Error(ExitCode::kBadData, s) {}
};
/// A checkpoint is incomplete, damaged or of another model (65).
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& s) : Error(ExitCode::kBadData, s) {}
};
/// A named file or folder does not exist (66).
struct MissingInputError : Error {
  explicit MissingInputError(const std::string& s) : Error(ExitCode::kMissingInput, s) {}
};
/// The ranks do not form the world that was asked for (69).
struct WorldError : Error {
  explicit WorldError(const std::string& s) : Error(ExitCode::kWrongWorld, s) {}
};
/// Training diverged and the policy says stop (71).
struct DivergedError : Error {
  explicit DivergedError(const std::string& s) : Error(ExitCode::kDiverged, s) {}
};
/// Reading or writing failed: disk full, permission, ... (74).
struct IoError : Error {
  explicit IoError(const std::string& s) : Error(ExitCode::kIoFailed, s) {}
};
/// A peer is gone, a collective failed, replicas drifted apart (76).
struct CommError : Error {
  explicit CommError(const std::string& s) : Error(ExitCode::kPeerLost, s) {}
};

}  // namespace gondola
