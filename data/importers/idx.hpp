#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/image_source.hpp"

namespace gondola {

/// What to make of MNIST's IDX files (or others of that format), gzipped or not.
struct IdxImport {
  /// Folders and files. A file's part is told from its name: `train` or `t10k`/`test`, and `images`
  /// or `labels`; of a folder, files whose names also contain `idx` or `ubyte` are taken.
  std::vector<std::string> inputs = {};
  std::string output = {};  ///< Dataset file to make; must not exist.
  std::string name = {};    ///< Of the dataset; empty: the output's name without its ending.
  std::int64_t size = 0;    ///< Resample to size x size pixels; 0: leave as they are.
  std::int64_t limit = 0;   ///< At most so many images of each split; 0: all.
  /// Told of progress now and then: images done of those to do, of both splits.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
};

/// Makes a dataset file of bytes [N, H, W] (grey) or [N, C, H, W]. Labels are optional for a split.
/// @throws MissingInputError, DataError (not IDX, truncated, parts that do not fit each other),
///         ConfigError (the output exists, files whose part cannot be told), IoError
void import_idx(const IdxImport& recipe);

}  // namespace gondola
