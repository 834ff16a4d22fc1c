#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "data/batch_loader.hpp"
#include "data/file_descriptor.hpp"

namespace gondola {

/// Lines `step,epoch,position,image_id` for images at consecutive positions of one global batch.
[[nodiscard]] std::string ledger_lines(std::int64_t step, std::int64_t epoch,
                                       std::int64_t first_position,
                                       std::span<const std::int64_t> ids);

/// @throws ConfigError where the file has rows already
void require_new_ledger(const std::string& path);

/// Appends the images of each step to a file. The order of images is a pure function, so one rank
/// can write the lines of all (BatchLoader::global_ids).
class LedgerWriter {
 public:
  /// Without `resume_step` the run is new and the file must not exist or be empty. With it the run
  /// continues after that step: later rows, and a last line that was cut off, are dropped.
  /// @throws ConfigError (exists though the run is new), DataError (the file is no ledger), IoError
  LedgerWriter(std::string path, std::optional<std::int64_t> resume_step);

  /// The whole global batch of one step; `ids` [B] in the order of their positions. One write().
  /// @throws IoError
  void append(std::int64_t step, Cursor cursor, std::span<const std::int64_t> ids);

 private:
  /// Bytes up to the first row of a later step, or to a last line without an end.
  [[nodiscard]] std::int64_t length_up_to(std::int64_t step) const;

  std::string path_;
  FileDescriptor file_;
};

}  // namespace gondola
