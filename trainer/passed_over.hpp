#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "trainer/bad_step.hpp"

namespace gondola {

/// Where a run lists the images whose batches trained nothing.
[[nodiscard]] std::filesystem::path passed_over_file(const std::filesystem::path& run_folder);

/// Lines `step,epoch,position,image_id,reason` of the batch of a bad step: `loss` where an image's
/// own loss is not finite, for the others what was wrong with the batch: `weights`, `gradient`,
/// `bound`, or `batch` where it was other images.
[[nodiscard]] std::string passed_over_lines(const BadStep& bad);

/// Lines of a batch that a rollback took back with it (`rollback`).
[[nodiscard]] std::string taken_back_lines(std::int64_t step, Cursor cursor,
                                           const std::vector<std::int64_t>& ids);

/// Appends lines to the file, which begins with the names of the columns. One rank's.
/// @throws IoError
void append_passed_over(const std::filesystem::path& file, const std::string& lines);

/// Leaves the lines of batches before `cursor`, for a run that goes on from there: what comes after
/// is trained anew. One rank's; nothing where there is no file. @throws IoError
void keep_passed_over_before(const std::filesystem::path& file, Cursor cursor,
                             std::int64_t batch_size);

}  // namespace gondola
