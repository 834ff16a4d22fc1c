#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// Small NORB in LeCun's binary matrices, gzipped or not: `...-dat.mat` of bytes [N, 2, H, W], the
/// views of the left and the right camera, and `...-cat.mat` of N categories. `training` or
/// `testing` in a name tells the split; `...-info.mat` (poses and lighting) is passed over. Inputs
/// are the files or folders of them. By SourceOptions.cameras the pairs become 2N images of one
/// channel, left before right, or N images of two channels.
///
/// A matrix begins with 4-byte little-endian numbers: its type (0x1E3D4C55 bytes, 0x1E3D4C54
/// integers), how many dimensions it has, and their sizes, three at least.
/// @throws MissingInputError, DataError (not such matrices, truncated, parts that do not fit each
///         other), ConfigError (files whose part cannot be told, or twice the same), IoError
[[nodiscard]] std::unique_ptr<ImportSource> open_norb(const SourceOptions& options);

}  // namespace gondola
