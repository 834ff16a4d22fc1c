#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// MNIST's IDX files of bytes (or others of that format), gzipped or not: [N, H, W] (grey) or [N,
/// C, H, W], with labels [N] or without. A file's part is told from its name: `train` or
/// `t10k`/`test`, and `images` or `labels`; of a folder, files whose names also contain `idx` or
/// `ubyte` are taken.
/// @throws MissingInputError, DataError (not IDX, truncated, parts that do not fit each other),
/// ConfigError (files whose part cannot be told), IoError
[[nodiscard]] std::unique_ptr<ImportSource> open_idx(const SourceOptions& options);

}  // namespace gondola
