#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// COIL-20: pictures obj<i>__<j>.png (object i from 1, pose j) anywhere in folders, tars and zips;
/// other files are passed over. Ordered by object, then pose; the label is i - 1; all train.
/// @throws MissingInputError (none found), DataError (the same pose twice, a damaged archive),
///         IoError
[[nodiscard]] std::unique_ptr<ImportSource> open_coil20(const SourceOptions& options);

}  // namespace gondola
