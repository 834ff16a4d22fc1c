#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// CelebA's aligned faces, JPEG or PNG, in folders, tars and zips. The file
/// list_eval_partition.txt, beside them or as an input of its own, sorts them: 0 trains, 2 tests, 1
/// (validation) stays out; without it all train. A centred square is cut out: options.face_crop
/// (140, 148 or 178 pixels of the published 178x218; half of that where faces are 89x109), placed
/// as torchvision's CenterCrop does.
/// @throws MissingInputError (no faces), DataError (a partition list that does not fit),
/// ConfigError (another crop), and as Archive
[[nodiscard]] std::unique_ptr<ImportSource> open_celeba(const SourceOptions& options);

}  // namespace gondola
