#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// Any JPEG, PNG and WebP files in folders, tars and zips, all for the training split, in natural
/// order of their names. Where they lie in more than one folder, the folders in natural order are
/// their classes.
/// @throws MissingInputError (no images), and as Archive
[[nodiscard]] std::unique_ptr<ImportSource> open_images(const SourceOptions& options);

}  // namespace gondola
