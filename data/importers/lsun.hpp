#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// LSUN's LMDB folders (or their data.mdb): each value is a JPEG, WebP or PNG; images are in the
/// order of the keys, input after input. Where a folder's name holds `_val` or `_test`, its images
/// make the test split, else the training split.
/// @throws MissingInputError, DataError (no LMDB, damaged), IoError
[[nodiscard]] std::unique_ptr<ImportSource> open_lsun(const SourceOptions& options);

}  // namespace gondola
