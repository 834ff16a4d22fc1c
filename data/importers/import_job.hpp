#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/images/image_fit.hpp"
#include "data/importers/import_plan.hpp"
#include "data/importers/import_source.hpp"

namespace gondola {

struct ImportOptions {
  std::string output = {};  ///< Dataset file to make; with shards, what their names are made from.
  std::string name = {};    ///< Of the dataset.
  FitOptions fit = {};
  PlanOptions plan = {};
  std::int64_t jobs = 1;  ///< Threads that unpack and resize.
  enum class BadImages {
    kRefuse,
    kSkip,  ///< Look for them first, which reads everything twice, and leave them out.
  };
  BadImages bad_images = BadImages::kRefuse;
  /// Told of progress at most ten times a second, from any thread, one at a time.
  std::function<void(const char* doing, std::int64_t done, std::int64_t total)> progress = {};
};

struct ImportReport {
  std::vector<std::string> made, kept;      ///< Files of the dataset; kept were complete already.
  std::vector<std::string> bad_images;      ///< Left out: what was wrong with each.
  std::array<std::int64_t, 2> images = {};  ///< By Split.
};

/// Makes the dataset. Files that an earlier run of the same import completed are kept, so after a
/// kill the same call goes on where that was, and ends with the same bytes.
/// @throws ConfigError (an output exists and is of another import), DataError (damage, images of
/// several sizes, a source that changes meanwhile), MissingInputError, IoError
[[nodiscard]] ImportReport run_import(ImportSource& source, const ImportOptions& options);

}  // namespace gondola
