#pragma once

#include <memory>

#include "data/importers/import_source.hpp"

namespace gondola {

/// CIFAR-10, binary version: data_batch_<n> trains, test_batch tests, with or without .bin, packed
/// (.xz, .gz) or not, as files, in a folder or in a tar. Records of a label, 0 to 9, and 3x32x32
/// bytes. Batches that are missing are no fault.
/// @throws MissingInputError (no batches), DataError (truncated, labels beyond 9)
[[nodiscard]] std::unique_ptr<ImportSource> open_cifar10(const SourceOptions& options);

}  // namespace gondola
